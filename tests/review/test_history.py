"""Every diff of a real history is read, taken apart and put together again to the tree that git made."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.review.model import FileChange
from app.review.parse import parse_diff
from app.review.patch import build_patch
from tests.support.review_cases import git

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_commit_is_rebuilt_hunk_by_hunk(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("the sources are not under git here")
    git(tmp_path, "clone", "--quiet", "--bare", "--shared", str(ROOT), "history")
    place = tmp_path / "history"
    commits = (
        git(place, "rev-list", "--no-merges", "--min-parents=1", "--max-count=600", "HEAD").decode().split()
    )
    for commit in commits:
        text = git(place, "diff", "--binary", "--full-index", "--find-renames", f"{commit}^", commit)
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
