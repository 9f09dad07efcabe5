"""grep_search: lines by a regular expression."""

from itertools import groupby

from pydantic import Field

from app.agent.errors import ToolFailure
from app.agent.tools.base import (
    MAX_RESULT_CHARACTERS,
    Access,
    Arguments,
    Tool,
    ToolContext,
    ToolResult,
    cut,
    in_thread,
    locate,
    shown_of,
)
from app.errors import TidegateError
from app.workspace.workspace import Workspace

_MAX_MATCHES = 100  # lines


class GrepSearchArguments(Arguments):
    """The arguments that the model gives."""

    pattern: str = Field(description="Regular expression")
    glob: str = Field(default="", description='Only files such as "*.py"')
    path: str = Field(default="", description="File or directory to search")
    limit: int = Field(default=_MAX_MATCHES, ge=1, description="Most matches to show")


class GrepSearch(Tool[GrepSearchArguments]):
    """By ripgrep; ignored and binary files are left out."""

    name = "grep_search"
    description = "Search file contents with a regular expression (ripgrep syntax)."
    arguments = GrepSearchArguments

    def access(self, arguments: GrepSearchArguments, workspace: Workspace) -> Access:
        """The file or directory."""
        return Access("read", locate(arguments.path, workspace))

    def summary(self, arguments: GrepSearchArguments) -> str:
        """The pattern."""
        where = arguments.path or arguments.glob
        return f"Search {arguments.pattern}" + (f" in {where}" if where else "")

    async def run(self, arguments: GrepSearchArguments, context: ToolContext) -> ToolResult:
        """Matches by file, with line numbers."""
        location = locate(arguments.path, context.workspace)
        if not location.absolute.exists():
            raise ToolFailure(f"{arguments.path} does not exist.")
        if not location.absolute.is_file() and not location.absolute.is_dir():
            # ripgrep would wait for what a pipe or device never says.
            raise ToolFailure(f"{arguments.path} is neither a file nor a directory.")
        globs = [arguments.glob] if arguments.glob else []
        limit = min(arguments.limit, 1000)
        try:
            result = await in_thread(
                lambda: context.workspace.search(
                    arguments.pattern, str(location.absolute), globs=globs, limit=limit
                )
            )
        except TidegateError as error:
            raise ToolFailure(f"{error}.") from error
        found, left_out = await in_thread(lambda: shown_of(result.matches, lambda match: match.path, context))
        if not found:
            return ToolResult(f"No matches. (Files that git ignores are left out.){left_out}", "no matches")
        text = "\n".join(
            path + "\n" + "\n".join(f"{match.line}: {match.text}" for match in matches)
            for path, matches in groupby(found, key=lambda match: match.path)
        )
        if not result.is_complete:
            text += f"\n[There are more than these {limit} matches. Narrow the search, or raise limit.]"
        text += left_out
        shown = cut(text, MAX_RESULT_CHARACTERS, "Narrow the search with glob or path.")
        more = "" if result.is_complete else "+"
        return ToolResult(shown, f"{len(found)}{more} matches")
