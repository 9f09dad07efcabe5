"""What the agent asks to be allowed, in words and, for a file, as the change that it would be. Pure."""

from dataclasses import dataclass, replace

from app.agent.port import PermissionRequest
from app.review.diff.parse import parse_diff
from app.review.errors import ReviewError
from app.review.model import FileChange

# What a tool does, with the argument that says to what.
_DEEDS = {
    "edit": ("edit", "file_path"),
    "write_file": ("write", "file_path"),
    "read_file": ("read", "file_path"),
    "list_directory": ("look into", "path"),
    "glob": ("find files named", "pattern"),
    "grep_search": ("search for", "pattern"),
}
_SERVER_AND_TOOL = "__"  # between them, in the name of an MCP server's tool


@dataclass(frozen=True, slots=True)
class Question:
    """`words` ask; `body` is what would be done, in full, and `change` the same for a file, if it is known."""

    words: str
    body: str
    change: FileChange | None = None


def question_of(request: PermissionRequest) -> Question:
    """The question that a person is asked."""
    first, _, rest = request.summary.partition("\n")
    change = _change(str(request.arguments.get("file_path", "")), rest)
    if request.name in _DEEDS:
        deed, argument = _DEEDS[request.name]
        if change is not None and change.kind == "created":
            deed = "create"
        named = str(request.arguments.get(argument, "")) or "."
        return Question(f"The agent wants to {deed} {named}", rest or first, change)
    if request.name == "run_shell_command":
        words = "Your command asks for more" if request.is_users else "The agent wants to run a command"
        return Question(words, request.summary)
    server, separator, tool = request.name.partition(_SERVER_AND_TOOL)
    words = f"{tool} of the MCP server {server}" if separator else request.name
    return Question(f"The agent wants to use {words}", request.summary)


def _change(path: str, diff: str) -> FileChange | None:
    if not path or not diff.startswith("@@ "):
        return None
    # The name takes no part in the reading: it may hold what a header cannot.
    text = f"--- a/file\n+++ b/file\n{diff}\n"
    try:
        changes = parse_diff(text.encode("utf-8", "surrogateescape"))
    except (ReviewError, UnicodeEncodeError):
        return None
    if len(changes) != 1:
        return None
    is_new = all(hunk.before_count == 0 and hunk.before_start == 0 for hunk in changes[0].hunks)
    return replace(changes[0], path=path, previous_path=None, kind="created" if is_new else "modified")
