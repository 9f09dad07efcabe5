"""Giving back what an earlier process left unsaved."""

from collections.abc import Callable
from datetime import datetime

from textual.widget import Widget

from app.errors import TidegateError
from app.ui.dialogs.choice import Choice
from app.ui.drawing.text import visible
from app.ui.panes.editor.pane import EditorPane


class LostText:
    """Says what was left, and offers that of a file once it is open."""

    def __init__(self, widget: Widget, editor: EditorPane, read: Callable[[str, int], None]) -> None:
        """`read` shows what was written in a file, from a line on."""
        self._widget = widget
        self._editor = editor
        self._read = read

    async def look(self) -> None:
        """Find what was left, and say so."""
        keeping = self._editor.keeping
        await keeping.look()
        if keeping.left:
            names = ", ".join(map(visible, keeping.left))
            words = f"Text that was not saved was kept: {names}. Open it to have it back."
            self._widget.app.notify(words, timeout=10)

    async def offer(self, path: str | None) -> None:
        """Offer what was left of `path`, if anything. Called from a worker: it asks."""
        keeping = self._editor.keeping
        lost = keeping.left.pop(path or "", None)
        if lost is None or path is None:
            return
        app = self._widget.app
        when = datetime.fromtimestamp(lost.at).strftime("%Y-%m-%d %H:%M")
        question = f"{visible(path)} was written in until {when}, and that was never saved."
        answers = {"r": "Restore it, unsaved", "d": "Drop it"}
        chosen = await app.push_screen_wait(Choice("Unsaved text", question, answers, "Decide later"))
        if chosen is None:
            keeping.left[path] = lost
            return
        if chosen == "r":
            try:
                buffer = await self._editor.open(path)
            except TidegateError as error:
                keeping.left[path] = lost
                app.notify(str(error), severity="error", timeout=8)
                return
            if buffer.base_digest != lost.base:
                buffer.changed_by = "Somebody"
            buffer.area.take(lost.text)
            self._read(path, buffer.area.cursor_location[0] + 1)
        await keeping.decided(path)
