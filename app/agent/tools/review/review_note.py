"""review_note: a line beside the agent's own change, a reply to a comment, an order to read the changes in."""

import re

from app.agent.errors import ToolFailure
from app.agent.tools.base import Access, Arguments, Tool, ToolContext, ToolResult, in_thread, locate
from app.review.errors import ReviewError
from app.review.remarks.model import Said
from app.workspace.workspace import Workspace

_PLACE = re.compile(r"(?P<path>.+?):(?P<line>\d{1,9})(?:[-:,].*)?")


class ReviewNoteArguments(Arguments):
    """The arguments that the model gives. `at` is PATH:LINE."""

    at: str = ""
    text: str = ""
    comment: int = 0
    done: bool = False
    order: tuple[str, ...] = ()


class ReviewNote(Tool[ReviewNoteArguments]):
    """Speaks in the review; changes no file."""

    name = "review_note"
    description = (
        "Tell the reviewer in one line what your change at PATH:LINE does and why. With comment, its number: a "
        "reply to that; done: your change at PATH:LINE does what it asks. order: paths as best read."
    )
    arguments = ReviewNoteArguments

    def access(self, arguments: ReviewNoteArguments, workspace: Workspace) -> Access:  # noqa: ARG002
        """Nothing."""
        return Access("nothing")

    def summary(self, arguments: ReviewNoteArguments) -> str:
        """What is said of what."""
        if arguments.comment:
            about = f"comment {arguments.comment}{' done' if arguments.done else ''}"
        elif arguments.order and not arguments.text:
            return f"Reading order: {', '.join(arguments.order)}"
        else:
            about = arguments.at
        return f"Note on {about}: {' '.join(arguments.text.split())}".removesuffix(": ")

    async def run(self, arguments: ReviewNoteArguments, context: ToolContext) -> ToolResult:
        """Say it."""
        if context.say is None:
            raise ToolFailure("A sub-task has no change under review. Put it into your answer.")
        say, workspace = context.say, context.workspace
        path, line = _place(arguments.at, workspace) if arguments.at.strip() else ("", 0)
        order = [_place(place, workspace) for place in arguments.order]
        said = Said(
            arguments.text,
            path,
            line,
            arguments.comment,
            arguments.done,
            tuple(f"{path}:{line}" if line else path for path, line in order),
        )
        try:
            return ToolResult(await in_thread(lambda: say(said)))
        except ReviewError as error:
            raise ToolFailure(f"{error}.") from error


def _place(written: str, workspace: Workspace) -> tuple[str, int]:
    """The path, relative to the root, and the line (0: none) of "PATH:LINE", "PATH:FIRST-LAST" or "PATH"."""
    found = _PLACE.fullmatch(written.strip())
    if found is None:
        return locate(written, workspace).path, 0
    return locate(found["path"], workspace).path, int(found["line"])
