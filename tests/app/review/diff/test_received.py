"""Diffs that other programs had their hands on, and word diffs."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.review.desks.sources import source_of
from app.review.diff.parse import parse_diff
from app.review.diff.received import is_word_diff, without_colours
from app.review.model import FileChange
from tests.support.review.review_cases import git

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


@pytest.mark.parametrize(
    "options",
    [
        ("-c", "diff.mnemonicPrefix=true"),
        ("-c", "diff.noprefix=true"),
        ("-c", "diff.suppressBlankEmpty=true"),
        ("--src-prefix=old/", "--dst-prefix=new/"),
        ("-c", "core.quotePath=false"),
    ],
    ids=lambda options: options[-1],
)
def test_whatever_git_puts_before_names_they_are_the_names(tmp_path: Path, options: tuple[str, str]) -> None:
    git(tmp_path, "init", "--quiet", "-b", "main")
    names = ("top", "a/b", "b/a", "i/w", "with space/é", "gone", "old name", "mode", "binary")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("".join(f"{n}{name}\n\n" for n in range(9)))
    git(tmp_path, "add", "-A")
    for name in names[:5]:
        (tmp_path / name).write_text((tmp_path / name).read_text().replace("4", "four"))
    (tmp_path / "gone").unlink()
    (tmp_path / "old name").rename(tmp_path / "a/new name")
    (tmp_path / "mode").chmod(0o755)
    (tmp_path / "binary").write_bytes(b"\0")
    (tmp_path / "made").write_text("made\n")
    git(tmp_path, "add", "-N", "made", "a/new name")
    before, after = (options, ()) if options[0] == "-c" else ((), options)
    said = git(tmp_path, *before, "diff", "-M", "--binary", *after)
    expected = git(tmp_path, "diff", "-M", "--binary")
    assert said != expected or "quotePath" in options[1]

    def plain(data: bytes) -> list[FileChange]:
        return [
            replace(change, hunks=tuple(replace(hunk, id="", lines=tuple(hunk.lines)) for hunk in change.hunks))
            for change in parse_diff(data)
        ]

    assert plain(said) == plain(expected)
