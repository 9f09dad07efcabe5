"""list_directory: what lies in a directory."""

from fnmatch import fnmatch

from pydantic import Field

from app.agent.errors import ToolFailure
from app.agent.tools.base import Access, Arguments, Tool, ToolContext, ToolResult, in_thread, locate, shown_of
from app.errors import TidegateError
from app.workspace.workspace import Workspace

_MAX_ENTRIES = 300  # entries listed


class ListDirectoryArguments(Arguments):
    """The arguments that the model gives."""

    path: str = ""
    ignore: list[str] = Field(default=[], description="Glob patterns to leave out")


class ListDirectory(Tool[ListDirectoryArguments]):
    """Directories end in a slash; ignored entries are counted, not listed."""

    name = "list_directory"
    description = "List a directory."
    arguments = ListDirectoryArguments

    def access(self, arguments: ListDirectoryArguments, workspace: Workspace) -> Access:
        """The directory."""
        return Access("read", locate(arguments.path, workspace))

    def summary(self, arguments: ListDirectoryArguments) -> str:
        """The directory."""
        return f"List {arguments.path or '.'}"

    async def run(self, arguments: ListDirectoryArguments, context: ToolContext) -> ToolResult:
        """The names, directories first."""
        location = locate(arguments.path, context.workspace)
        try:
            entries = await in_thread(lambda: context.workspace.list_directory(location.path))
        except TidegateError as error:
            raise ToolFailure(f"{error}.") from error
        # Whoever asks for an ignored directory wants to see what is in it.
        if location.path and context.workspace.rules.is_ignored(location.path, is_directory=True):
            listed = entries
        else:
            listed = tuple(entry for entry in entries if not entry.is_ignored)
        ignored = len(entries) - len(listed)
        allowed, left_out = await in_thread(lambda: shown_of(listed, lambda entry: entry.path, context))
        shown = [
            entry.name + ("/" if entry.is_directory else "")
            for entry in allowed
            if not any(fnmatch(entry.name, pattern) for pattern in arguments.ignore)
        ]
        text = "\n".join(shown[:_MAX_ENTRIES]) or "[Nothing.]"
        if len(shown) > _MAX_ENTRIES:
            text += f"\n[{len(shown) - _MAX_ENTRIES} more entries. Use glob with a pattern.]"
        if ignored:
            text += f"\n[{ignored} entries that git ignores are left out.]"
        return ToolResult(text + left_out, f"{len(shown)} entries")
