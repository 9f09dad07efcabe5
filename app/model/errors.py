"""What can go wrong between the application and a model."""

from app.errors import TidegateError


class ModelError(TidegateError):
    """The model could not answer. Everything said so far stays valid."""


class NoModel(ModelError):
    """There is no model to ask: none was found or named, or what was named is none."""


class Unreachable(ModelError):
    """Nobody answers at the server's address."""


class EngineLost(ModelError):
    """The server went away in the middle of a reply."""


class EngineFailed(ModelError):
    """The engine could not be started or kept running, and is not tried again by itself."""


class RequestRefused(ModelError):
    """The server understood the request and declined it (too long, malformed, unauthorized)."""


class ContextOverflow(RequestRefused):
    """The prompt is longer than the model's context, which has `length` tokens if the server says so."""

    def __init__(self, what: str, remedy: str = "", length: int | None = None) -> None:
        super().__init__(what, remedy)
        self.length = length


class GarbledReply(ModelError):
    """The server sent something that is not Chat Completions."""


class ModelTimeout(ModelError):
    """The server was silent for longer than the client waits."""


class Offline(ModelError):
    """What was asked for needs the network, and the user's settings rule that out."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} needs the network, and you chose to be offline",
            "take offline out of the settings, or TIDEGATE_OFFLINE out of the environment",
        )


class DownloadFailed(ModelError):
    """A checkpoint could not be fetched. The received part stays on disk; the next attempt resumes there."""
