"""What every text that is written in has of Textual's text area, and two faults less."""

from textual.cache import LRUCache
from textual.geometry import Offset
from textual.strip import Strip
from textual.widgets import TextArea

_DRAWN_LINES = 128
"""Lines that are kept as they were drawn, more than most terminals have. Textual keeps 1024 of each text, most
of them with a cursor or a text that is no more."""


class EditedText(TextArea):
    """A text area that can lose any number of lines, and that goes when it is removed."""

    def on_mount(self) -> None:
        self._line_cache: LRUCache[tuple[object, ...], Strip] = LRUCache(_DRAWN_LINES)

    def on_unmount(self) -> None:
        # Textual goes on telling a removed text of selections and themes, and so keeps it.
        self.screen.text_selection_started_signal.unsubscribe(self)
        watchers: dict[str, list[tuple[object, object]]] = getattr(self.app, "__watchers", {})
        for name, watching in watchers.items():
            watchers[name] = [(node, callback) for node, callback in watching if node is not self]

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        # Where its scroll bar goes with the lines, Textual asks for this before it moves the cursor off them,
        # and again afterwards.
        if self.cursor_location[0] >= self.document.line_count:
            return Offset(0, 0)
        return super().scroll_cursor_visible(center, animate)
