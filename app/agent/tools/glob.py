"""glob: files by name."""

from pydantic import Field

from app.agent.errors import ToolFailure
from app.agent.tools.base import Access, Arguments, Tool, ToolContext, ToolResult, in_thread, locate, shown_of
from app.errors import TidegateError
from app.workspace.workspace import Workspace

_MAX_FILES = 200  # files listed


class GlobArguments(Arguments):
    """The arguments that the model gives."""

    pattern: str = Field(description='Such as "src/**/*.py"')
    path: str = Field(default="", description="Directory to search")


class Glob(Tool[GlobArguments]):
    """Ignored files are left out."""

    name = "glob"
    description = "Find files by a glob pattern."
    arguments = GlobArguments

    def access(self, arguments: GlobArguments, workspace: Workspace) -> Access:
        """The directory."""
        return Access("read", locate(arguments.path, workspace))

    def summary(self, arguments: GlobArguments) -> str:
        """The pattern."""
        return f"Find {arguments.pattern}" + (f" in {arguments.path}" if arguments.path else "")

    async def run(self, arguments: GlobArguments, context: ToolContext) -> ToolResult:
        """The paths, sorted."""
        location = locate(arguments.path, context.workspace)
        if not location.absolute.is_dir():
            raise ToolFailure(f"{arguments.path} is not a directory.")
        pattern = arguments.pattern
        if pattern.startswith(str(context.workspace.root)):
            pattern = pattern[len(str(context.workspace.root)) :]
        # ripgrep reads globs as gitignore does: relative to the workspace, and without a slash at any depth.
        pattern = pattern.removeprefix("./").lstrip("/")
        if location.is_inside and location.path and "/" in pattern:
            pattern = f"{location.path}/{pattern}"
        try:
            found = await in_thread(lambda: context.workspace.files(str(location.absolute), [pattern]))
        except TidegateError as error:
            raise ToolFailure(f"{error}.") from error
        shown, left_out = await in_thread(lambda: shown_of(found, str, context))
        if not shown:
            return ToolResult(f"No files match. (Files that git ignores are left out.){left_out}", "no files")
        text = "\n".join(shown[:_MAX_FILES])
        if len(shown) > _MAX_FILES:
            text += f"\n[{len(shown) - _MAX_FILES} more files match. Use a narrower pattern or path.]"
        return ToolResult(text + left_out, f"{len(shown)} files")
