"""read_file: a text file, or a range of its lines."""

from pydantic import Field

from app.agent.errors import ToolFailure
from app.agent.tools.base import Access, Arguments, Tool, ToolContext, ToolResult, in_thread, locate
from app.workspace.workspace import Workspace

_MAX_LINES = 1500  # lines of one call
_MAX_CHARACTERS = 40_000  # characters of one call
_MAX_LINE = 2000  # characters of a line


class ReadFileArguments(Arguments):
    """The arguments that the model gives."""

    file_path: str
    offset: int | None = Field(default=None, ge=0, description="First line, counted from 0")
    limit: int | None = Field(default=None, ge=1, description="Number of lines")


class ReadFile(Tool[ReadFileArguments]):
    """Shows a file without line numbers, so that text copied into an edit is exact."""

    name = "read_file"
    description = "Read a text file. For a long file, give offset and limit."
    arguments = ReadFileArguments

    def access(self, arguments: ReadFileArguments, workspace: Workspace) -> Access:
        """The file."""
        return Access("read", locate(arguments.file_path, workspace))

    def summary(self, arguments: ReadFileArguments) -> str:
        """The file and its lines."""
        if arguments.offset is None and arguments.limit is None:
            return f"Read {arguments.file_path}"
        first = (arguments.offset or 0) + 1
        last = str(first + arguments.limit - 1) if arguments.limit else ""
        return f"Read {arguments.file_path} {first}-{last}"

    async def run(self, arguments: ReadFileArguments, context: ToolContext) -> ToolResult:
        """The lines, with a heading that gives the range unless it is the whole file."""
        location = locate(arguments.file_path, context.workspace)
        text = await in_thread(lambda: context.files.read(location))
        if text is None:
            raise ToolFailure(f"{location.path} does not exist. Find files with glob or list_directory.")
        context.files.saw(location, text)
        if not text.raw:
            return ToolResult("[The file is empty.]", "empty")
        lines = text.normal.removesuffix("\n").split("\n")
        first = arguments.offset or 0
        if first >= len(lines):
            raise ToolFailure(f"{location.path} has only {len(lines)} lines; offset {first} is beyond its end.")
        shown: list[str] = []
        length = 0
        for line in lines[first : first + min(arguments.limit or _MAX_LINES, _MAX_LINES)]:
            if length > _MAX_CHARACTERS:
                break
            shown.append(
                line
                if len(line) <= _MAX_LINE
                else f"{line[:_MAX_LINE]} [{len(line) - _MAX_LINE} characters cut]"
            )
            length += len(shown[-1]) + 1
        last = first + len(shown)
        body = "\n".join(shown)
        if first == 0 and last == len(lines):
            return ToolResult(body, f"{len(lines)} lines")
        more = f" Read on with offset {last}." if last < len(lines) else ""
        return ToolResult(
            f"[Lines {first + 1}-{last} of {len(lines)}.{more}]\n{body}",
            f"lines {first + 1}-{last} of {len(lines)}",
        )
