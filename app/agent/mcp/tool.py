"""A tool of an MCP server, as the agent has tools."""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, model_validator

from app.agent.errors import ServerFailed, ToolFailure
from app.agent.mcp.content import as_text
from app.agent.mcp.offer import Offer
from app.agent.tools.base import Access, Arguments, Tool, ToolContext, ToolResult
from app.model.messages import ToolSpecification
from app.workspace.workspace import Workspace

if TYPE_CHECKING:
    from mcp.types import CallToolResult
    from mcp.types import Tool as ServersTool

_LONGEST_NAME = 64  # what Chat Completions allows
_LONGEST_DESCRIPTION = 1_000  # characters
_MOST_SHOWN = 200

CallServer = Callable[[str, str, Mapping[str, Any]], Awaitable["CallToolResult"]]
"""Call a server's tool by the names of both. Raises ServerFailed."""


def offer_of(server: str, tool: "ServersTool") -> Offer:
    """What `server` offers. What it says of itself are hints: they make asking stricter, and let nothing
    through that would be asked."""
    hints = tool.annotations
    schema = _without_titles(tool.input_schema)
    schema.pop("$schema", None)
    if schema.get("type", "object") != "object" or not isinstance(schema.get("properties", {}), dict):
        schema = {}
    description = " ".join((tool.description or tool.title or "").split())
    if len(description) > _LONGEST_DESCRIPTION:
        description = f"{description[:_LONGEST_DESCRIPTION].rpartition(' ')[0]} …"
    return Offer(
        called(server, tool.name),
        server,
        tool.name,
        description,
        {"type": "object", "properties": {}, **schema},
        is_read_only=bool(hints and hints.read_only_hint),
        is_destructive=bool(hints and hints.destructive_hint and not hints.read_only_hint),
    )


def _without_titles(schema: Any) -> Any:
    """A title only repeats the name, and costs tokens in every prompt. A parameter may be called so, too."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_titles(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }


def called(server: str, tool: str) -> str:
    """What the model calls a server's tool: SERVER__TOOL in letters, digits, _ and -, at most 64 of them."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", f"{server}__{tool}")
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:6]
        name = f"{name[: _LONGEST_NAME - 7]}_{digest}"
    return name


class ForeignArguments(Arguments):
    """Whatever the server's schema asks for; the server judges it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _mend(cls, given: Any) -> Any:
        return given


class McpTool(Tool[ForeignArguments]):
    """Asks the server, each time by way of permission."""

    arguments = ForeignArguments

    def __init__(self, offer: Offer, call: CallServer | None = None) -> None:
        """Without `call`, it can only be described."""
        self.name = offer.name
        self._offer = offer
        self._call = call

    @property
    def specification(self) -> ToolSpecification:
        """As the server described it when the session began."""
        return self._offer.specification

    def parse(self, text: str) -> ForeignArguments:
        """The arguments, typed as the schema wants where they were written as text."""
        arguments = super().parse(text).model_dump()
        properties = self._offer.parameters.get("properties")
        kinds = properties if isinstance(properties, Mapping) else {}
        typed = {name: _typed(value, kinds.get(name)) for name, value in arguments.items()}
        return ForeignArguments.model_validate(typed)

    def access(self, arguments: ForeignArguments, workspace: Workspace) -> Access:  # noqa: ARG002
        """Something outside, of which only the server knows what it is."""
        return Access("mcp", is_read_only=self._offer.is_read_only, is_destructive=self._offer.is_destructive)

    def summary(self, arguments: ForeignArguments) -> str:
        """The tool and what it is given, shortened."""
        given = ", ".join(f"{name}={_shown(value)}" for name, value in arguments.model_dump().items())
        return f"{self._offer.server}: {self._offer.tool}({given})"

    async def preview(self, arguments: ForeignArguments, context: ToolContext) -> str:  # noqa: ARG002
        """The tool and what it is given, in full."""
        given = json.dumps(arguments.model_dump(), ensure_ascii=False, indent=2)
        return f"{self._offer.server}: {self._offer.tool}\n{given}"

    async def run(self, arguments: ForeignArguments, context: ToolContext) -> ToolResult:  # noqa: ARG002
        """What the server answers."""
        offer = self._offer
        assert self._call is not None
        try:
            result = await self._call(offer.server, offer.tool, arguments.model_dump())
        except ServerFailed as error:
            raise ToolFailure(f"The MCP server {offer.server} cannot be used: {error}.") from error
        return ToolResult(as_text(result), ok=not result.is_error)


def _typed(value: Any, schema: Any) -> Any:
    """A number or the like, where the model wrote it as a text and the schema wants none."""
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if isinstance(value, str) and kind in ("integer", "number", "boolean", "array", "object", "null"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
