"""Repositories of Jujutsu (jj), read through the git store that they keep their commits in.

One that is colocated has a git repository beside it, and all of it can be reviewed. In another the store is a
bare repository in .jj: commits and ranges can be read from it, the work tree cannot. Names that only jj knows,
such as change ids, are asked of `jj` where it is installed; its working copy is left alone.
"""

import subprocess
from pathlib import Path

from app.errors import TidegateError
from app.review.errors import ReviewError

_LONGEST = 30
"""Seconds that jj may take to look a name up."""


def jj_root(here: Path) -> Path | None:
    """The root of the jj repository that `here` is in."""
    return next((place for place in (here, *here.parents) if (place / ".jj" / "repo").exists()), None)


def git_store(root: Path) -> Path:
    """The git directory of a jj repository. Raises ReviewError where its commits are not kept in git."""
    repository = root / ".jj" / "repo"
    try:
        if repository.is_file():  # one of several work trees: the file names the first one's
            repository = (root / ".jj" / repository.read_text("utf-8").strip()).resolve()
        store = repository / "store"
        return (store / (store / "git_target").read_text("utf-8").strip()).resolve(strict=True)
    except (OSError, UnicodeDecodeError) as error:
        raise ReviewError(
            "This jj repository keeps no commits in git", "pipe its changes: jj diff --git | tidegate review -"
        ) from error


def commit_of(root: Path, name: str) -> str:
    """The id of the one commit that jj calls `name`, "" where jj is not here, or knows none or several."""
    form = 'commit_id ++ "\\n"'
    command = ["jj", "log", "--ignore-working-copy", "--no-graph", "--color=never", "-r", name, "-T", form]
    try:
        done = subprocess.run(
            command, cwd=root, capture_output=True, check=False, timeout=_LONGEST, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = done.stdout.decode("utf-8", "replace").split()
    return found[0] if done.returncode == 0 and len(found) == 1 else ""


def translated(root: Path, argument: str) -> str:
    """A commit or range with the names that only jj knows replaced by commit ids."""
    dots = "..." if "..." in argument else ".."
    if dots not in argument:
        return commit_of(root, argument) or argument
    ends = [commit_of(root, end) or end if end else "" for end in argument.split(dots, 1)]
    return dots.join(ends)


class WorkTreeOfJj(TidegateError):
    """The work tree of a jj repository whose git store lies apart was asked for."""

    def __init__(self) -> None:
        super().__init__(
            "The work tree of this jj repository cannot be read through git, as its git store lies apart",
            "review a commit or a range, or pipe: jj diff --git | tidegate review -",
        )
