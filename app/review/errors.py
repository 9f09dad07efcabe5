"""The errors that the review raises."""

from app.errors import TidegateError


class ReviewError(TidegateError):
    """A decision or commit could not be carried out; nothing was changed by it."""


class LostContent(ReviewError):
    """A file's content is missing from the review's store, or damaged."""
