"""Lines that are read when asked for are the lines that reading everything gives."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.review.diff.hunk_text import HunkText, line_marks
from app.review.diff.parse import parse_diff, parse_portions
from tests.support.review.review_cases import edits, git


@given(case=edits(), context=st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_every_way_to_ask_for_a_line_gives_the_same(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[bytes, bytes], context: int
) -> None:
    root = tmp_path_factory.mktemp("text")
    for name, data in zip("ab", case, strict=True):
        (root / name).write_bytes(data)
    text = git(root, "diff", "--no-index", "--text", f"-U{context}", "a", "b", check=False)
    # What stands behind the last hunk ends it where its counts say, and not where its text does.
    for tail in (b"", b"-- \n2.1\n", b"\ncommit 1\n"):
        for change in parse_diff(text + tail):
            before, after = case[0].split(b"\n"), case[1].split(b"\n")
            for hunk in change.hunks:
                lines = tuple(hunk.lines)
                assert isinstance(hunk.lines, HunkText) or tail
                assert [hunk.lines[n] for n in range(len(hunk.lines))] == list(lines)
                assert hunk.lines[1:3] == lines[1:3]
                assert line_marks(hunk.lines) == line_marks(lines)
                assert hunk.added == sum(line.kind == "added" for line in lines)
                assert hunk.removed == sum(line.kind == "removed" for line in lines)
                for line in lines:
                    raw = line.text.encode("utf-8", "surrogateescape")
                    if line.before_number is not None:
                        assert before[line.before_number - 1] == raw
                    if line.after_number is not None:
                        assert after[line.after_number - 1] == raw


def test_a_large_diff_is_indexed_without_making_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "--quiet")
    for number in range(3):
        (tmp_path / f"f{number}").write_text("old\n" * 5000)
    git(tmp_path, "add", "-A")
    for number in range(3):
        (tmp_path / f"f{number}").write_text("new\n" * 5000)
    text = git(tmp_path, "diff")
    made: list[int] = []
    plain = HunkText._line
    monkeypatch.setattr(HunkText, "_line", lambda self, *given: made.append(1) or plain(self, *given))
    changes = parse_diff(text)
    assert sum(change.added for change in changes) == 15_000
    assert changes == parse_diff(text)
    assert not made
    assert changes[1].hunks[0].lines[7].text == "old"
    assert len(made) == 1


def test_a_diff_in_portions_is_read_as_if_it_came_at_once() -> None:
    text = b"".join(
        b"diff --git a/f%d b/f%d\n--- a/f%d\n+++ b/f%d\n@@ -1 +1,2 @@\n-a\n+b\n+diff --git a/x b/x\n"
        % ((n,) * 4)
        for n in range(5)
    )
    whole = parse_diff(text)
    assert len(whole) == 5
    for size in (1, 7, 100, len(text)):
        portions = [text[at : at + size] for at in range(0, len(text), size)]
        assert parse_portions(portions) == whole
