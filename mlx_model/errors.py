"""Errors that a user of the engine is meant to read."""


class EngineError(Exception):
    """Something is wrong that the user can understand and mend; the message is one clear sentence."""

    exit_status = 2


class ConfigError(EngineError):
    """config.json is missing, unreadable, or describes something the engine cannot run; names the field."""


class CheckpointError(EngineError):
    """The weights are missing, truncated, misshaped or foreign; names the file or tensor."""


class RequestError(EngineError):
    """A request cannot be served as asked (too long, malformed)."""
