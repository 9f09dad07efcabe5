"""The error that the review raises."""

from app.errors import TidegateError


class ReviewError(TidegateError):
    """A decision or commit could not be carried out; nothing was changed by it."""
