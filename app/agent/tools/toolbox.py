"""All tools, in the order the model is told of them, which never changes within a session."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from app.agent.tools.base import Tool
from app.agent.tools.edit import Edit
from app.agent.tools.glob import Glob
from app.agent.tools.grep_search import GrepSearch
from app.agent.tools.list_directory import ListDirectory
from app.agent.tools.read_file import ReadFile
from app.agent.tools.review.review_note import ReviewNote
from app.agent.tools.run_shell_command import RunShellCommand
from app.agent.tools.task import Task
from app.agent.tools.todo_write import TodoWrite
from app.agent.tools.write_file import WriteFile
from app.model.messages import ToolSpecification

TOOLS: dict[str, Tool[Any]] = {
    tool.name: tool
    for tool in (
        ReadFile(),
        Edit(),
        WriteFile(),
        Glob(),
        GrepSearch(),
        ListDirectory(),
        RunShellCommand(),
        TodoWrite(),
        Task(),
        ReviewNote(),
    )
}


@cache
def specifications() -> tuple[ToolSpecification, ...]:
    """Our own tools as the model is told of them."""
    return tuple(tool.specification for tool in TOOLS.values())


class Toolbox:
    """The tools of one session: ours, and behind them those of the MCP servers it began with."""

    def __init__(self) -> None:
        self._mcp_tools: dict[str, Tool[Any]] = {}
        self.specifications = specifications()
        """As the model is told of them."""

    def add(self, mcp_tools: Sequence[Tool[Any]]) -> None:
        """The session has these tools as well. To be called before the model is first asked."""
        self._mcp_tools = {tool.name: tool for tool in mcp_tools if tool.name not in TOOLS}
        self.specifications = (*specifications(), *(tool.specification for tool in self._mcp_tools.values()))

    def get(self, name: str) -> Tool[Any] | None:
        """The tool of that name."""
        return TOOLS.get(name) or self._mcp_tools.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """What the tools are called."""
        return (*TOOLS, *self._mcp_tools)

    @property
    def mcp_characters(self) -> int:
        """How much of the prompt the servers' tools take, in characters."""
        return sum(
            len(json.dumps(tool.specification.to_wire(), ensure_ascii=False))
            for tool in self._mcp_tools.values()
        )
