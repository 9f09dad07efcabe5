"""What can go wrong with the directory that is open."""

from app.errors import TidegateError


class WorkspaceError(TidegateError):
    """The directory, one of its files or a search in it cannot be used."""


class WriteRefused(WorkspaceError):
    """The disk would not take a file; the old content is still there."""
