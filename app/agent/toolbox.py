"""All tools, in the order the model is told of them, which never changes."""

from functools import cache
from typing import Any

from app.agent.tools.base import Tool
from app.agent.tools.edit import Edit
from app.agent.tools.glob import Glob
from app.agent.tools.grep_search import GrepSearch
from app.agent.tools.list_directory import ListDirectory
from app.agent.tools.read_file import ReadFile
from app.agent.tools.run_shell_command import RunShellCommand
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
    )
}


@cache
def specifications() -> tuple[ToolSpecification, ...]:
    """The tools as the model is told of them."""
    return tuple(tool.specification for tool in TOOLS.values())
