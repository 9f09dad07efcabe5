"""Every diff of a real history is read, drawn, taken apart and put together again to the tree that git made.

The history is that of the repository that TIDEGATE_HISTORY names, else of this one; a shallow clone has less.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.review.desks.source_desk import SourceDesk
from app.review.desks.sources import WORK_TREE, Sources
from app.review.diff.parse import parse_diff
from app.review.diff.patch import build_patch
from app.review.model import FileChange
from app.review.review import Review
from app.ui.review_app import ReviewApp
from tests.app.review.diff.meaning.test_moves import check_against_git
from tests.support.places import ROOT
from tests.support.review_cases import git

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
