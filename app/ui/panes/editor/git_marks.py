"""What git sees as changed in a file, for its gutter."""

import asyncio
from collections.abc import Callable

from textual.widget import Widget

from app.editing.marks import NO_MARKS, LineMarks, marks_between
from app.errors import TidegateError
from app.ui.background import begin_again
from app.workspace.workspace import Workspace

_WHILE_TYPING = 0.2  # seconds without a key after which the marks follow the text


class GitMarks:
    """Compares the file that is shown with what git's index has, in a thread, and has the marks shown."""

    def __init__(self, widget: Widget, workspace: Workspace, show: Callable[[str, LineMarks], None]) -> None:
        """`show` is given a path and its marks."""
        self._widget = widget
        self._workspace = workspace
        self._show = show
        self._known: tuple[str, tuple[str, ...] | None] | None = None

    def look(self, path: str, text: str, *, is_typing: bool = False) -> None:
        """Mark the lines of `path`, which is `text` now; an earlier request without answer is given up."""
        wait = _WHILE_TYPING if is_typing else 0.0
        begin_again(self._widget, "git-marks", self._look, path, text, wait)

    def forget(self) -> None:
        """The index may be another."""
        self._known = None

    async def _look(self, path: str, text: str, wait: float) -> None:
        if wait:
            await asyncio.sleep(wait)
        if self._known is None or self._known[0] != path:
            try:
                known = await asyncio.to_thread(self._workspace.indexed_lines, path)
            except TidegateError:
                known = None  # the workspace says why git cannot be asked
            self._known = (path, known)
        before = self._known[1]
        marks = NO_MARKS
        if before is not None:
            marks = await asyncio.to_thread(lambda: marks_between(before, text.split("\n")))
        self._show(path, marks)
