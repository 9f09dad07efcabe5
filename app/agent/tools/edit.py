"""edit: replace a piece of text in a file."""

from difflib import unified_diff

from pydantic import Field

from app.agent.editing.closest import closest
from app.agent.editing.match import Match, find_matches
from app.agent.editing.splice import replacement_at
from app.agent.errors import ToolFailure
from app.agent.tools.base import Access, Arguments, Tool, ToolContext, ToolResult, in_thread, locate
from app.workspace.files.line_endings import with_line_endings
from app.workspace.files.text import Text
from app.workspace.workspace import Location, Workspace

_HOW = {
    "exact": "",
    "final newline": " The file's last line has no newline; that was kept.",
    "punctuation": " Typographic punctuation in old_string differed from the file's; the file's was kept.",
    "trailing space": " White space at line ends differed from the file's; the file's was kept.",
    "indentation": " old_string was indented otherwise than the file; the new text was re-indented to fit.",
}


class EditArguments(Arguments):
    """The arguments that the model gives."""

    file_path: str
    old_string: str = Field(description="Text to replace, copied exactly from the file; must occur only once")
    new_string: str
    replace_all: bool = Field(default=False, description="Replace every occurrence")


class Edit(Tool[EditArguments]):
    """Finds the place by the ladder of app.agent.editing.match; refuses rather than guess."""

    name = "edit"
    description = "Replace text in a file. An empty old_string creates a new file."
    arguments = EditArguments

    def access(self, arguments: EditArguments, workspace: Workspace) -> Access:
        """The file."""
        return Access("write", locate(arguments.file_path, workspace))

    def summary(self, arguments: EditArguments) -> str:
        """The file."""
        return f"Edit {arguments.file_path}"

    async def preview(self, arguments: EditArguments, context: ToolContext) -> str:
        """The change as a diff."""
        location = locate(arguments.file_path, context.workspace)
        before, after, _note = await in_thread(lambda: _apply(arguments, location, context))
        return f"{self.summary(arguments)}\n{diff(location.path, before, after)}"

    async def run(self, arguments: EditArguments, context: ToolContext) -> ToolResult:
        """Make the change."""
        location = locate(arguments.file_path, context.workspace)

        def work() -> ToolResult:
            before, after, note = _apply(arguments, location, context)
            context.files.write(location, before, after)
            context.changed.append(location.path)
            return ToolResult(note, diff(location.path, before, after))

        return await in_thread(work)


def _apply(arguments: EditArguments, location: Location, context: ToolContext) -> tuple[Text | None, Text, str]:
    """The file's text before and after, and what to tell the model."""
    text = context.files.read(location)
    if text is not None and arguments.old_string:
        context.files.check_fresh(location, text)
    after, note = edited(arguments, location.path, text)
    return text, after, note


def edited(arguments: EditArguments, path: str, text: Text | None) -> tuple[Text, str]:
    """What the edit makes of the file `path` with the content `text` (None: there is none), and what to tell
    the model. Raises ToolFailure."""
    old = arguments.old_string.replace("\r\n", "\n")
    new = arguments.new_string.replace("\r\n", "\n")
    if text is None:
        if old:
            raise ToolFailure(f"{path} does not exist. To create it, use write_file.")
        return Text(new), f"Created {path}."
    if not old:
        if text.raw:
            raise ToolFailure(f"{path} exists and is not empty; an empty old_string only creates files.")
        return Text(new, text.encoding, text.mark), f"Wrote {path}."
    if old == new:
        raise ToolFailure("old_string and new_string are the same: nothing to change.")
    normal = text.normal
    matches = find_matches(normal, old, new)
    if not matches:
        raise ToolFailure(_not_found(path, normal, old, new))
    if len(matches) > 1 and not arguments.replace_all:
        numbers = ", ".join(str(_line(normal, match.start)) for match in matches[:20])
        raise ToolFailure(
            f"old_string occurs {len(matches)} times in {path}, at lines {numbers}. Give more of the "
            "text around the one you mean, or set replace_all."
        )
    after, count = _replace(normal, matches)
    if after == normal:
        raise ToolFailure(f"The edit would leave {path} as it is.")
    start = _line(normal, matches[0].start)
    where = f"at line {start}" if count == 1 else f"in {count} places"
    raw = with_line_endings(text.raw, after)
    return Text(raw, text.encoding, text.mark), f"Edited {path} {where}.{_HOW[matches[0].rung]}"


def _replace(text: str, matches: list[Match]) -> tuple[str, int]:
    pieces: list[str] = []
    end = count = 0
    for match in matches:
        if match.start < end:
            continue  # overlaps the one before
        pieces += [text[end : match.start], replacement_at(text, match)]
        end = match.end
        count += 1
    return "".join([*pieces, text[end:]]), count


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _not_found(path: str, text: str, old: str, new: str) -> str:
    message = f"old_string was not found in {path}."
    if len(new.strip()) > 10 and new in text:
        return f"{message} But new_string is already there, at line {_line(text, text.index(new))}."
    near = closest(text, old)
    if near is None:
        return f"{message} Nothing in the file is like it. Read the file again."
    return (
        f"{message} The nearest text is at lines {near.first}-{near.last}; copy from it exactly:\n{near.text}"
    )


def diff(path: str, before: Text | None, after: Text) -> str:
    """A unified diff for a person to read."""
    old, new = (
        (text.normal.removesuffix("\n").split("\n") if text and text.raw else []) for text in (before, after)
    )
    lines = unified_diff(old, new, path, path, lineterm="")
    return "\n".join(list(lines)[2:])
