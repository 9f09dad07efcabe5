"""Commit by commit: through the commits of a range, or along the history that a commit is in."""

from dataclasses import dataclass
from pathlib import Path

from app.git.git import Git
from app.review.desks.sources import Source
from app.review.errors import ReviewError

_FARTHEST = 200
"""Commits before and after a single one that can be gone to; chosen."""
TITLE_FORM = "--format=%h %s"
"""What a commit is called that was gone to."""
_FORM = "--format=%H%x09%h %s"


@dataclass(frozen=True, slots=True)
class Step:
    """A commit of a walk, or the whole range; `place` says where in the walk it is, "" for the range."""

    source: Source
    place: str = ""


class Walk:
    """The commits to go through from `source`, a commit or a range, and where one is. Raises ReviewError and
    GitError."""

    def __init__(self, root: Path, source: Source) -> None:
        self._git = Git(root)
        self._steps: list[Step] = []
        self._at = 0
        if source.kind == "range":
            # Of A...B the commits of B alone.
            commits = self._list(source.revision, *(["--right-only"] if "..." in source.revision else []))
            self._steps = [Step(source), *self._numbered(commits)]
        else:
            before = self._list(source.revision, "--first-parent", f"--max-count={_FARTHEST}")
            after = self._list(f"{source.revision}..HEAD", "--ancestry-path")[:_FARTHEST]
            self._steps = self._numbered([*before, *after])
            self._at = len(before) - 1

    def go(self, step: int) -> Step:
        """The next (1) or the previous (-1) one."""
        to = self._at + step
        if not 0 <= to < len(self._steps):
            raise ReviewError(
                "This is the last commit" if step > 0 else "There is nothing before this", "go the other way"
            )
        self._at = to
        return self._steps[to]

    def _list(self, revision: str, *options: str) -> list[Source]:
        form = ("--reverse", "--topo-order", "--no-show-signature", _FORM)
        listed = self._git.run("log", *form, *options, "--end-of-options", revision, "--")
        lines = [line.partition("\t") for line in listed.decode("utf-8", "replace").splitlines()]
        return [Source("commit", title, name) for name, _, title in lines]

    @staticmethod
    def _numbered(commits: list[Source]) -> list[Step]:
        count = len(commits)
        return [Step(commit, f"{number} of {count}") for number, commit in enumerate(commits, 1)]
