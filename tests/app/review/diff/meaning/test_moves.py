"""Moved code: held against `git diff --color-moved=plain`, and what is found beyond that is really the same."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.review.diff.meaning.moves import Moves, find_moves
from app.review.diff.parse import parse_diff
from app.review.model import DiffLine, FileChange
from tests.support.review.diffs import changes_of
from tests.support.review.review_cases import git

_LINES = ["alpha = 1", "beta = alpha + 2", "    return beta", "", "}", "call(alpha, beta)", "naïve ✓", "x"]
_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_COLOURS = (
    *("-c", "color.diff.oldMoved=magenta", "-c", "color.diff.newMoved=magenta"),
    *("-c", "color.diff.old=red", "-c", "color.diff.new=green"),
)


def changed(changes: tuple[FileChange, ...]) -> list[tuple[str, int, DiffLine]]:
    """Every changed line in the diff's order, with its hunk and its index there."""
    return [
        (hunk.id, index, line)
        for change in changes
        for hunk in change.hunks
        for index, line in enumerate(hunk.lines)
        if line.kind != "context"
    ]


def moved_by_git(root: Path, *what: str) -> tuple[bytes, list[bool]]:
    """A diff, and of each of its changed lines whether git calls it moved."""
    form = ("--full-index", "--find-renames", "--unified=3")
    plain = git(root, "diff", "--no-color", *form, *what, check=False)
    told = git(
        root,
        *_COLOURS,
        *("diff", "--color=always", "--color-moved=plain", "--ws-error-highlight=none"),
        *(*form, *what),
        check=False,
    )
    flags: list[bool] = []
    before = after = 0
    for line, coloured in zip(plain.split(b"\n"), told.split(b"\n"), strict=True):
        if before <= 0 and after <= 0:
            if found := _HUNK.match(line):
                before, after = (int(count) if count else 1 for count in found.groups())
        elif not line.startswith(b"\\"):
            before, after = before - (line[:1] != b"+"), after - (line[:1] != b"-")
            if line[:1] in (b"+", b"-"):
                flags.append(coloured.startswith(b"\x1b[35m"))
    return plain, flags


def check_against_git(root: Path, *what: str) -> None:
    plain, flags = moved_by_git(root, *what)
    changes = parse_diff(plain)
    moves, hunks = find_moves(changes), {hunk.id: hunk for change in changes for hunk in change.hunks}
    for (hunk, index, line), is_gits in zip(changed(changes), flags, strict=True):
        other = moves.lines.get(hunk, {}).get(index)
        assert other is not None or not is_gits, line
        if other is None:
            continue
        end = hunks[other.hunk].lines[other.index]
        assert {end.kind, line.kind} == {"removed", "added"}
        assert other.number == (end.before_number if end.kind == "removed" else end.after_number)
        assert other.is_edited or end.text.strip() == line.text.strip()
        if not is_gits:
            assert other.is_block and (other.is_edited or end.text != line.text)


@given(
    before=st.lists(st.lists(st.sampled_from(_LINES), max_size=14), min_size=2, max_size=2),
    after=st.lists(st.lists(st.sampled_from(_LINES), max_size=14), min_size=2, max_size=2),
)
@settings(max_examples=15, deadline=None)
def test_what_git_calls_moved_is_moved(
    tmp_path_factory: pytest.TempPathFactory, before: list[list[str]], after: list[list[str]]
) -> None:
    root = tmp_path_factory.mktemp("moved")
    for files, place in ((before, root / "was"), (after, root / "now")):
        place.mkdir()
        for number, lines in enumerate(files):
            (place / f"{number}.txt").write_text("".join(f"{line}\n" for line in lines))
    check_against_git(root, "--no-index", "was", "now")


FUNCTION = "def area(width, height):\n    checked(width, height)\n    return width * height\n"


def moves_of(**files: tuple[str, str]) -> tuple[tuple[FileChange, ...], Moves]:
    changes = changes_of({f"{name}.py": sides for name, sides in files.items()})
    return changes, find_moves(changes)


def test_a_block_is_told_with_where_it_came_from_and_where_it_went() -> None:
    rest = "import os\n" * 3
    changes, moves = moves_of(a=(f"{rest}{FUNCTION}", rest), b=(rest, f"{rest}\n{FUNCTION}"))
    gone, come = (change.hunks[0].id for change in changes)
    assert [(block.path, block.number, block.lines) for block in moves.came[come]] == [("a.py", 4, 3)]
    assert [(block.path, block.number, block.lines) for block in moves.left[gone]] == [("b.py", 5, 3)]


def test_an_edit_and_another_indentation_do_not_hide_a_move() -> None:
    inside = "".join(f"    {line}\n" for line in FUNCTION.splitlines()).replace("checked(", "checked_by(me, ")
    changes, moves = moves_of(a=(FUNCTION, ""), b=("class A:\n", f"class A:\n{inside}"))
    come = changes[1].hunks[0]
    found = [moves.lines[come.id][index] for index in (1, 2, 3)]
    assert [line.number for line in found] == [1, 2, 3]
    assert [line.is_edited for line in found] == [False, True, False]
    start, end = found[1].marks[0]
    assert come.lines[2].text[start:end] == "checked_by"


def test_code_that_is_only_indented_where_it_stands_did_not_move() -> None:
    changes, moves = moves_of(a=(FUNCTION, "".join(f"  {line}\n" for line in FUNCTION.splitlines())))
    assert not moves.came and not moves.lines
    assert changes


@pytest.mark.parametrize("line", ["x\n", "\n", "value = compute(1)\n"])
def test_the_time_is_in_proportion_to_the_lines(line: str) -> None:
    def seconds(count: int) -> float:
        lines = "".join(f"line {number % 300} of it\n{line}" for number in range(count))
        changes = changes_of({"a": (lines, ""), "b": ("", lines), "c": ("", lines)})
        begun = time.thread_time()
        find_moves(changes)
        return time.thread_time() - begun

    short, long = (min(seconds(count) for _ in range(2)) for count in (500, 2_000))
    assert long < 9 * max(short, 0.01)
    assert find_moves(changes_of({"a": ("x\n" * 9, "y\n")}), most_lines=9).is_partial
