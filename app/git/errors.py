"""What git may refuse."""

from app.errors import TidegateError


class GitError(TidegateError):
    """A git command failed; the remedy is git's own words."""


class GitMissing(GitError):
    """git is not installed."""

    def __init__(self) -> None:
        super().__init__("git was not found", "install git to stage and commit")
