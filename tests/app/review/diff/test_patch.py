"""Diffs, parsing and patch surgery, held against git."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.review.diff.compare import blocks, file_change, line_bytes, split_lines
from app.review.diff.parse import parse_diff
from app.review.diff.patch import build_patch, select_lines, whole
from app.review.errors import ReviewError
from app.review.model import FileChange, FileImage
from tests.support.review.review_cases import edits, get_index, git, put_index

BATCH = st.lists(edits(), min_size=8, max_size=12)
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=2000)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    git(root, "init", "--quiet")
    return root


def changes_of(batch: list[tuple[bytes, bytes]]) -> dict[str, FileChange]:
    found = (
        file_change(f"f{n}", FileImage(before), FileImage(after)) for n, (before, after) in enumerate(batch)
    )
    return {change.path: change for change in found if change}


@given(edits())
@settings(max_examples=300, deadline=None)
def test_blocks_turn_one_side_into_the_other_and_never_touch(case: tuple[bytes, bytes]) -> None:
    a, b = split_lines(case[0]), split_lines(case[1])
    assert b"".join(a) == case[0]
    result: list[bytes] = []
    end = 0
    for number, block in enumerate(blocks(a, b)):
        assert number == 0 or block.before_start > end
        result += a[end : block.before_start]
        assert len(result) == block.after_start
        result += b[block.after_start : block.after_end]
        end = block.before_end
    assert result + a[end:] == b


def check_selection(
    root: Path, batch: list[tuple[bytes, bytes]], data: st.DataObject, by_line: bool, reverse: bool
) -> None:
    """Apply a random part of every change in one go; each file must be what its selection says."""
    changes = changes_of(batch)
    put_index(root, {f"f{n}": case[reverse] for n, case in enumerate(batch)})
    patch = b""
    chosen: dict[str, dict[str, frozenset[int]]] = {}
    for path, change in changes.items():
        selection: dict[str, frozenset[int]] = {}
        for hunk in change.hunks:
            changed = [n for n, line in enumerate(hunk.lines) if line.kind != "context"]
            if by_line:
                selection[hunk.id] = frozenset(data.draw(st.sets(st.sampled_from(changed))))
            elif data.draw(st.booleans()):
                selection[hunk.id] = frozenset(changed)
        chosen[path] = selection
        patch += build_patch(change, selection, reverse)
    if patch:
        flags = ["--reverse"] if reverse else []
        git(root, "apply", "--cached", "--unidiff-zero", "--whitespace=nowarn", *flags, data=patch)
    index = get_index(root)
    for n, case in enumerate(batch):
        path = f"f{n}"
        if path not in changes:
            continue
        expected = splice(case[reverse], changes[path], chosen[path], reverse)
        assert index[path] == expected


def splice(data: bytes, change: FileChange, chosen: dict[str, frozenset[int]], reverse: bool) -> bytes:
    """The selected lines put straight into the content, without a patch."""
    content = split_lines(data)
    for hunk in reversed(change.hunks):
        start, count = (
            (hunk.after_start, hunk.after_count) if reverse else (hunk.before_start, hunk.before_count)
        )
        at = start - 1 if count else start
        lines, _ = select_lines(hunk.lines, chosen.get(hunk.id, frozenset()), reverse)
        gone = "added" if reverse else "removed"
        content[at : at + count] = [line_bytes(line) for line in lines if line.kind != gone]
        # What stays and what comes are each in their own order, complete.
        staying, coming = ("added", "removed") if reverse else ("removed", "added")
        taken = chosen.get(hunk.id, frozenset())
        texts = [line.text for line in lines if line.kind != gone]
        kept = [
            x.text
            for n, x in enumerate(hunk.lines)
            if x.kind == "context" or (x.kind == staying and n not in taken)
        ]
        brought = [x.text for n, x in enumerate(hunk.lines) if x.kind == coming and n in taken]
        assert Counter(texts) == Counter(kept + brought)
        assert is_subsequence(kept, texts)
        assert is_subsequence(brought, texts)
    return b"".join(content)


def is_subsequence(part: list[str], whole_text: list[str]) -> bool:
    remaining = iter(whole_text)
    return all(item in remaining for item in part)


@pytest.mark.parametrize("reverse", [False, True], ids=["stage", "discard"])
@pytest.mark.parametrize("by_line", [False, True], ids=["hunks", "lines"])
@given(batch=BATCH, data=st.data())
@QUICK
def test_git_takes_any_part_of_a_change(
    repository: Path, by_line: bool, reverse: bool, batch: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    check_selection(repository, batch, data, by_line, reverse)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(batch=BATCH, data=st.data(), by_line=st.booleans(), reverse=st.booleans())
@LONG
def test_git_takes_any_part_of_twenty_thousand_changes(
    repository: Path, batch: list[tuple[bytes, bytes]], data: st.DataObject, by_line: bool, reverse: bool
) -> None:
    check_selection(repository, batch, data, by_line, reverse)


@given(batch=BATCH, context=st.integers(0, 4))
@example(batch=[(b"a\na", b"a\n")], context=0)
@QUICK
def test_gits_own_diff_is_read_and_written_back(
    repository: Path, batch: list[tuple[bytes, bytes]], context: int
) -> None:
    put_index(repository, {f"f {n}": before for n, (before, _) in enumerate(batch)})
    tree = git(repository, "write-tree").decode().strip()
    put_index(repository, {f"f {n}": after for n, (_, after) in enumerate(batch)})
    text = git(repository, "diff", "--cached", "--text", f"-U{context}", tree)

    def applied(patch: bytes) -> dict[str, bytes]:
        put_index(repository, {f"f {n}": before for n, (before, _) in enumerate(batch)})
        if patch:
            git(repository, "apply", "--cached", "--unidiff-zero", "--whitespace=nowarn", data=patch)
        return get_index(repository)

    written = applied(b"".join(build_patch(change, whole(change)) for change in parse_diff(text)))
    assert written == applied(text)
    if (
        context
    ):  # without any, git itself takes away the first of two lines that differ in the last newline alone
        assert written == {f"f {n}": after for n, (_, after) in enumerate(batch)}


@pytest.mark.parametrize(
    ("selected", "expected"),
    [
        ("+A", "Aab"),
        ("-a+A", "Ab"),
        ("-b+B", "aB"),
        ("+A+B", "ABab"),
        ("-a+B", "Bb"),
        ("-a-b+B", "B"),
        ("-a", "b"),
    ],
)
def test_unselected_lines_land_in_the_right_order(selected: str, expected: str) -> None:
    change = file_change("f", FileImage(b"a\nb\n"), FileImage(b"A\nB\n"))
    assert change
    (hunk,) = change.hunks
    marks = {"removed": "-", "added": "+", "context": " "}
    numbers = frozenset(n for n, line in enumerate(hunk.lines) if marks[line.kind] + line.text in selected)
    lines, _ = select_lines(hunk.lines, numbers)
    assert "".join(line.text for line in lines if line.kind != "removed") == expected


def test_headers_of_every_kind_survive_the_round_trip(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    names = {
        'renämed\t"x"': b"1\n" * 20,
        "gone": b"nothing alike\n",
        "mode": b"m\n",
        "binary": bytes(range(256)),
        "text": b"t",
    }
    for name, data in names.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "link").symlink_to("gone")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "--quiet", "-m", "before")
    (tmp_path / 'renämed\t"x"').rename(tmp_path / "new name")
    with (tmp_path / "new name").open("ab") as file:
        file.write(b"more\n")
    (tmp_path / "gone").unlink()
    (tmp_path / "mode").chmod(0o755)
    (tmp_path / "binary").write_bytes(bytes(range(255, -1, -1)))
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("mode")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "created").write_bytes(b"x\r\ny")
    git(tmp_path, "add", "-A")
    wanted = git(tmp_path, "write-tree")
    text = git(tmp_path, "diff", "--cached", "--binary", "-M", "HEAD")
    changes = parse_diff(text)
    assert {(change.path, change.kind) for change in changes} == {
        ("new name", "renamed"),
        ("gone", "deleted"),
        ("mode", "mode"),
        ("binary", "binary"),
        ("link", "symlink"),
        ("empty", "created"),
        ("created", "created"),
    }
    git(tmp_path, "read-tree", "HEAD")
    patch = b"".join(build_patch(change, whole(change)) for change in changes)
    git(tmp_path, "apply", "--cached", data=patch)
    assert git(tmp_path, "write-tree") == wanted
    git(
        tmp_path,
        "apply",
        "--cached",
        "--reverse",
        data=b"".join(build_patch(c, whole(c), True) for c in changes),
    )
    assert git(tmp_path, "write-tree") == git(tmp_path, "rev-parse", "HEAD^{tree}")


def test_a_merge_is_shown_but_not_staged(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "-b", "main")
    path = tmp_path / "f"
    for branch, text in (("main", "a\nb\nc\n"), ("side", "a\nside\nc\n")):
        git(tmp_path, "checkout", "--quiet", "-B", branch)
        path.write_text(text)
        git(tmp_path, "add", "f")
        git(tmp_path, "commit", "--quiet", "-m", branch)
    git(tmp_path, "checkout", "--quiet", "main")
    path.write_text("a\nmain\nc\n")
    git(tmp_path, "commit", "--quiet", "-am", "ours")
    git(tmp_path, "merge", "side", check=False)
    (change,) = parse_diff(git(tmp_path, "diff"))
    assert change.kind == "combined"
    assert next(line.text for line in change.hunks[0].lines if line.kind == "added").startswith("<<<<<<<")
    with pytest.raises(ReviewError, match="merge"):
        build_patch(change, whole(change))


def test_a_truncated_diff_is_refused() -> None:
    with pytest.raises(ReviewError, match="damaged"):
        parse_diff(b"--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n-b\n")


def test_plain_unified_diffs_and_mail_around_them_are_read() -> None:
    mail, names = b"Subject: x\n\n---\n f | 2 +-\n\n", b"--- old/f\t2020-01-01\n+++ new/f\t2020-01-02\n"
    text = mail + names + b"@@ -1 +1 @@\n-a\n+b\n-- \n2.39\n"
    (change,) = parse_diff(text)
    assert (change.path, change.added, change.removed) == ("new/f", 1, 1)


def test_a_large_file_without_unique_lines_is_compared_in_bounded_time() -> None:
    # A quadratic engine would need most of an hour for this, and the test's time limit ends it.
    a = [n * n % 7 for n in range(60_000)]
    b = [n * n * n % 11 % 7 for n in range(60_000)]
    assert blocks(a, b)
