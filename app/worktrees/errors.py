"""Errors of worktrees."""

from app.errors import TidegateError


class WorktreeError(TidegateError):
    """A worktree cannot be made or removed."""
