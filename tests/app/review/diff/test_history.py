"""Every diff of a real history is read, drawn, taken apart and put together again to the tree that git made.

The history is that of the repository that TIDEGATE_HISTORY names, else of this one; a shallow clone has less.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.review.desks.desk import file_lines
from app.review.desks.source_desk import SourceDesk
from app.review.desks.sources import WORK_TREE, Sources
from app.review.diff.meaning.moves import find_moves
from app.review.diff.meaning.notes import Note, notes_on
from app.review.diff.meaning.tokens import can_read
from app.review.diff.parse import parse_diff
from app.review.diff.patch import build_patch
from app.review.model import DiffLine, FileChange, Hunk
from app.review.review import Review
from app.ui.diff.model.texts import NO_NEWLINE
from app.ui.diff.view import DiffView
from app.ui.review_app import ReviewApp
from tests.app.review.diff.meaning.test_moves import check_against_git
from tests.support.places import ROOT
from tests.support.review.review_cases import git

HISTORY = Path(os.environ.get("TIDEGATE_HISTORY") or ROOT)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    if not (HISTORY / ".git").exists():
        pytest.skip("there is no repository here")
    git(tmp_path, "clone", "--quiet", "--bare", "--shared", str(HISTORY.absolute()), "history")
    return tmp_path / "history"


def history(place: Path) -> Iterator[tuple[str, bytes]]:
    """Commits and their diffs, the newest first."""
    chosen = ("--no-merges", "--min-parents=1", "--max-count=600", "HEAD")
    for commit in git(place, "rev-list", *chosen).decode().split():
        yield commit, git(place, "diff", "--binary", "--full-index", "--find-renames", f"{commit}^", commit)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_every_diff_is_drawn_in_both_layouts(place: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "work")
    log = Review(tmp_path / "work")
    desk = SourceDesk(WORK_TREE, Sources(tmp_path / "work", log), log)
    app = ReviewApp(log, [desk], tmp_path / "work", first=())
    async with app.run_test(size=(120, 40)):
        view = app.review_screen.review.view
        for commit, text in history(place):
            changes = parse_diff(text)
            view.set_changes(changes)
            for arrangement in ("unified", "split"):
                if view.model.split != (arrangement == "split"):
                    view.switch_arrangement()
                drawn = {"+": 0, "−": 0}
                for row in range(view.row_count):
                    kind = view.model.rows.row(row)
                    strip = view.draw_row(row, 120)
                    assert strip.cell_length == 120, (commit, row)
                    if kind.kind == "line":
                        lines = {
                            n: view.model.hunk_of(kind).lines[n]
                            for n in (kind.left, kind.right)
                            if n is not None
                        }
                        drawn["+"] += sum(line.kind == "added" for line in lines.values())
                        drawn["−"] += sum(line.kind == "removed" for line in lines.values())
                wanted = {"+": sum(c.added for c in changes), "−": sum(c.removed for c in changes)}
                assert drawn == wanted, (commit, arrangement)


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_every_diff_is_read_off_the_screen_with_moves_marked_and_runs_folded(
    place: Path, tmp_path: Path
) -> None:
    git(tmp_path, "init", "--quiet", "work")
    log = Review(tmp_path / "work")
    desk = SourceDesk(WORK_TREE, Sources(tmp_path / "work", log), log)
    app = ReviewApp(log, [desk], tmp_path / "work", first=())
    has_moved = has_folded = 0
    async with app.run_test(size=(120, 40)):
        view = app.review_screen.review.view
        if view.model.split:
            view.switch_arrangement()
        for commit, text in history(place):
            changes = parse_diff(text)
            view.set_changes(changes)
            moves = find_moves(changes)
            view.model.meaning.know_moves(moves)
            notes = notes_on((change, lines_after(place, commit, change)) for change in changes)
            view.know_notes(notes)
            for folds in (True, False):
                if view.model.meaning.folds_notes != folds:
                    view.switch_notes()
                for change in changes:
                    for hunk in change.hunks:
                        whole = folds and bool(view.model.meaning.whole.get(hunk.id))
                        folded = folded_lines(notes.get(hunk.id, ()) if folds else ())
                        has_folded += len(folded)
                        drawn = drawn_lines(view, hunk)
                        wanted = [
                            (n, mark_of(line), line.before_number, line.after_number)
                            for n, line in enumerate(hunk.lines)
                            if n not in folded and not whole
                        ]
                        assert [(n, sign, *numbers) for n, sign, numbers, _ in drawn] == wanted, (
                            commit,
                            hunk.id,
                        )
                        for n, _, _, code in drawn:
                            line = hunk.lines[n]
                            if line.text.isascii() and line.text.isprintable():
                                end = "" if line.has_newline else NO_NEWLINE
                                assert code == (line.text + end).rstrip(), (commit, line.text)
            has_moved += sum(map(len, moves.lines.values()))
    assert has_moved and has_folded


def lines_after(place: Path, commit: str, change: FileChange) -> Sequence[str]:
    """The lines of a file after a commit, as far as it is one whose meaning is read."""
    if change.kind == "deleted" or not can_read(change.path):
        return ()
    return file_lines(git(place, "show", f"{commit}:{change.path}"))


def folded_lines(notes: Sequence[Note]) -> set[int]:
    """The changed lines for which a note stands."""
    return {n for note in notes for n in range(note.start, note.end)}


def mark_of(line: DiffLine) -> str:
    return {"added": "+", "removed": "−", "context": " "}[line.kind]


def drawn_lines(view: DiffView, hunk: Hunk) -> list[tuple[int, str, tuple[int | None, int | None], str]]:
    """What is read off the screen of a hunk's lines: which it is, its sign, its numbers and its text. A line
    that is drawn as moved has another sign, which tells the side too."""
    model = view.model
    found: list[tuple[int, str, tuple[int | None, int | None], str]] = []
    longest = max((len(line.text) for line in hunk.lines), default=0) + len(NO_NEWLINE)
    wide = 1 + longest + model.gutter_width
    start = model.rows.row_of_hunk(hunk.id)
    for row in range(start or 0, view.row_count if start is not None else 0):
        place = model.rows.row(row)
        if row != start and place.kind in ("hunk", "file", "gap"):
            break
        if place.kind != "line":
            continue
        text, digits = view.draw_row(row, wide).text, model.number_width
        numbers = text[1 : 1 + digits].strip(), text[2 + digits : 2 + 2 * digits].strip()
        sign = {"›": "+", "‹": "−"}.get(text[model.gutter_width - 2], text[model.gutter_width - 2])
        before, after = (int(number) if number else None for number in numbers)
        assert place.left is not None
        found.append((place.left, sign, (before, after), text[model.gutter_width :].rstrip()))
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_commit_is_rebuilt_hunk_by_hunk(place: Path) -> None:
    for commit, text in history(place):
        git(place, "read-tree", f"{commit}^")
        for change in parse_diff(text):
            # What has no lines, and with it the file itself, first; then each hunk alone, from the last to the
            # first, so that no place moves.
            first = {hunk.id: None for hunk in change.hunks if not hunk.lines}
            whole_file = change.before_mode is None or change.after_mode is None or change.kind == "symlink"
            steps = [{hunk.id: None for hunk in change.hunks}] if whole_file else [first]
            if not whole_file:
                steps += [{hunk.id: None} for hunk in reversed(change.hunks) if hunk.lines]
            for number, step in enumerate(steps):
                target = change if number == 0 else moved(change)
                patch = build_patch(target, step)
                if patch:
                    git(place, "apply", "--cached", "--unidiff-zero", "--whitespace=nowarn", data=patch)
        assert git(place, "write-tree") == git(place, "rev-parse", f"{commit}^{{tree}}"), commit


def moved(change: FileChange) -> FileChange:
    """The change as it is once its rename is done."""
    return replace(change, previous_path=None)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_git_calls_moved_is_moved_in_every_commit(place: Path) -> None:
    for commit, _ in history(place):
        check_against_git(place, f"{commit}^", commit)
