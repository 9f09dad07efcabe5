"""What can go wrong in a conversation with the agent, apart from the model itself."""

from app.errors import TidegateError


class AgentBusy(TidegateError):
    """A turn is running; another cannot begin."""


class AgentMissing(TidegateError):
    """The agent is not open yet."""


class SessionError(TidegateError):
    """A session on disk cannot be used."""


class MessageTooLong(TidegateError):
    """The user's message alone is more than the model can take."""


class ServerFailed(TidegateError):
    """An MCP server cannot be used."""


class HunkWorkFailed(TidegateError):
    """A question about a hunk has no answer, or a hunk cannot be written again."""


class ToolFailure(Exception):
    """A call could not be carried out. The text is for the model: the fault, and what to do instead."""
