"""Errors that are shown to the user."""


class EngineError(Exception):
    """An error that the user can understand and fix; its message is one sentence. `exit_status` of a
    command."""

    exit_status = 2


class ConfigError(EngineError):
    """config.json is missing, unreadable, or describes a model that the engine cannot run; names the field."""


class CheckpointError(EngineError):
    """Weights or their files are missing, truncated, misshaped or of another model; names the file or
    tensor."""


class RequestError(EngineError):
    """A request cannot be served: it is malformed, too long, or asks for something unsupported."""
