"""What can go wrong while a file is edited by hand."""

from app.errors import TidegateError
from app.workspace.errors import WorkspaceError


class NotEditable(WorkspaceError):
    """The file is too large, or no text."""


class DiskChanged(WorkspaceError):
    """Somebody else has written the file, or removed it, since it was read: nothing was written."""


class CannotEncode(TidegateError):
    """The file's encoding has no way to write a character of the text."""


class BadSearch(TidegateError):
    """The expression is malformed, or takes too long."""


class RecoveryFailed(TidegateError):
    """The disk would not take a copy of unsaved text."""
