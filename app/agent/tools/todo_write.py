"""todo_write: the model's plan, for the user to see and for itself to keep to."""

from typing import Literal

from app.agent.tools.base import Access, Arguments, Tool, ToolContext, ToolResult
from app.workspace.workspace import Workspace


class TodoItem(Arguments):
    """One step of the plan."""

    id: str = ""
    content: str
    status: Literal["pending", "in_progress", "completed"] = "pending"


class TodoWriteArguments(Arguments):
    """The arguments that the model gives."""

    todos: list[TodoItem]


class TodoWrite(Tool[TodoWriteArguments]):
    """Replaces the whole list each time."""

    name = "todo_write"
    description = "Replace your todo list. Use it for work of three or more steps; keep one item in_progress."
    arguments = TodoWriteArguments

    def access(self, arguments: TodoWriteArguments, workspace: Workspace) -> Access:  # noqa: ARG002
        """Nothing."""
        return Access("nothing")

    def summary(self, arguments: TodoWriteArguments) -> str:
        """How many steps."""
        done = sum(item.status == "completed" for item in arguments.todos)
        return f"Plan: {done} of {len(arguments.todos)} done"

    async def run(self, arguments: TodoWriteArguments, context: ToolContext) -> ToolResult:  # noqa: ARG002
        """Take the list over."""
        todos = tuple((item.content, item.status) for item in arguments.todos)
        return ToolResult("The todo list is updated.", self.summary(arguments), todos=todos)
