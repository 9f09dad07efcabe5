"""What can go wrong between the application and a model."""

from app.errors import TidegateError


class ModelError(TidegateError):
    """The model could not answer. Everything said so far stays valid."""


class EngineLost(ModelError):
    """The server went away in the middle of a reply."""


class RequestRefused(ModelError):
    """The server understood the request and declined it (too long, malformed, unauthorized)."""


class GarbledReply(ModelError):
    """The server sent something that is not Chat Completions."""


class ModelTimeout(ModelError):
    """The server was silent for longer than the client waits."""
