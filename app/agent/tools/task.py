"""task: a question over many files, answered by a sub-agent whose reading the conversation does not keep."""

from pydantic import Field

from app.agent.errors import ToolFailure
from app.agent.tools.base import Access, Arguments, Tool, ToolContext, ToolResult
from app.workspace.workspace import Workspace


class TaskArguments(Arguments):
    """The arguments that the model gives."""

    prompt: str = Field(description="What to find out, and all that is needed to know for it")
    description: str = Field(default="", description="The same in a few words")


class Task(Tool[TaskArguments]):
    """Runs a sub-agent (app.agent.subtask) that reads and searches."""

    name = "task"
    description = (
        "Have a search over many files done for you: a helper with the same tools reads and searches, changes "
        "nothing, sees only your prompt, and returns a summary."
    )
    arguments = TaskArguments

    def access(self, arguments: TaskArguments, workspace: Workspace) -> Access:  # noqa: ARG002
        """Nothing by itself; each of its calls is judged."""
        return Access("nothing")

    def summary(self, arguments: TaskArguments) -> str:
        """What it is about."""
        about = arguments.description or next(iter(arguments.prompt.strip().splitlines()), "")
        return f"Task: {about}"

    async def run(self, arguments: TaskArguments, context: ToolContext) -> ToolResult:
        """The summary."""
        if context.delegate is None:
            raise ToolFailure("A sub-task cannot start another. Search with grep_search, glob and read_file.")
        if not arguments.prompt.strip():
            raise ToolFailure("The prompt is empty. Say what is to be found out.")
        return await context.delegate(arguments.prompt)
