"""write_file: a new file, or new content for an old one."""

from app.agent.errors import ToolFailure
from app.agent.tools.base import Access, Arguments, Tool, ToolContext, ToolResult, in_thread, locate
from app.agent.tools.edit import diff
from app.workspace.files.line_endings import with_line_endings
from app.workspace.files.text import Text
from app.workspace.workspace import Location, Workspace


class WriteFileArguments(Arguments):
    """The arguments that the model gives."""

    file_path: str
    content: str


class WriteFile(Tool[WriteFileArguments]):
    """Refuses to replace a file whose current content the model has not seen."""

    name = "write_file"
    description = "Create a file, or replace all its content. To change a part of a file, use edit."
    arguments = WriteFileArguments

    def access(self, arguments: WriteFileArguments, workspace: Workspace) -> Access:
        """The file."""
        return Access("write", locate(arguments.file_path, workspace))

    def summary(self, arguments: WriteFileArguments) -> str:
        """The file."""
        return f"Write {arguments.file_path}"

    async def preview(self, arguments: WriteFileArguments, context: ToolContext) -> str:
        """The change as a diff."""
        location = locate(arguments.file_path, context.workspace)
        before, after = await in_thread(lambda: _apply(arguments, location, context))
        shown = diff(location.path, before, after)
        return f"{self.summary(arguments)}\n{shown}"

    async def run(self, arguments: WriteFileArguments, context: ToolContext) -> ToolResult:
        """Write it."""
        location = locate(arguments.file_path, context.workspace)

        def work() -> ToolResult:
            before, after = _apply(arguments, location, context)
            context.files.write(location, before, after)
            context.changed.append(location.path)
            lines = len(after.normal.removesuffix("\n").split("\n")) if after.raw else 0
            verb = "Created" if before is None else "Replaced"
            shown = diff(location.path, before, after)
            return ToolResult(f"{verb} {location.path} ({lines} lines).", shown)

        return await in_thread(work)


def _apply(arguments: WriteFileArguments, location: Location, context: ToolContext) -> tuple[Text | None, Text]:
    before = context.files.read(location)
    content = arguments.content
    if before is None:
        return None, Text(content)
    if before.raw and not context.files.has_seen(location):
        raise ToolFailure(f"{location.path} exists and you have not read it. Read it first, or use edit.")
    context.files.check_fresh(location, before)
    raw = with_line_endings(before.raw, content.replace("\r\n", "\n"))
    if before.raw == raw:
        raise ToolFailure(f"{location.path} already has exactly this content.")
    return before, Text(raw, before.encoding, before.mark)
