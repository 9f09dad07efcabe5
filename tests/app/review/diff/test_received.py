"""Diffs that other programs had their hands on, and word diffs."""

from pathlib import Path

import pytest

from app.review.desks.sources import source_of
from app.review.diff.parse import parse_diff
from app.review.diff.received import is_word_diff, without_colours
from tests.support.review_cases import git

BEFORE = "- one {+two+}\n\n    indented\n- three\n"
AFTER = BEFORE.replace("two", "deux").replace("indented", "indented more")


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "-b", "main")
    (tmp_path / "a").write_text(BEFORE)
    git(tmp_path, "add", "-A")
    (tmp_path / "a").write_text(AFTER)
    return tmp_path


@pytest.mark.parametrize("kind", ["plain", "porcelain", "color"])
def test_a_word_diff_is_told_from_a_diff(changed: Path, kind: str) -> None:
    assert is_word_diff(without_colours(git(changed, "diff", f"--word-diff={kind}")))
    for options in ((), ("--unified=0",), ("--stat", "--patch"), ("--stat",)):
        assert not is_word_diff(git(changed, "diff", *options))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_patch_in_utf_16_is_the_patch(changed: Path, encoding: str, ending: str) -> None:
    patch = git(changed, "diff")
    text = ("\ufeff" if encoding == "utf-16-be" else "") + patch.decode().replace("\n", ending)
    (changed / "x.patch").write_bytes(text.encode(encoding))
    assert parse_diff(source_of(changed, "x.patch").patch) == parse_diff(patch)
