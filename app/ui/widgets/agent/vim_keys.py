"""Vim's keys in a text area, for those who set `vim_keys`."""

from typing import cast

from textual import events
from textual.document._document import Document
from textual.widgets import TextArea

from app.ui.vim.motions import last_in_line
from app.ui.vim.vim import Vim


class VimKeys:
    """Gives an area's keys their meaning in normal mode; in insert mode all but Escape are the area's."""

    def __init__(self, area: TextArea) -> None:
        self._area = area
        self._vim = Vim()

    def reset(self) -> None:
        """Back to insert mode, for the next text."""
        self._vim.reset()
        self._tell()

    def take(self, event: events.Key) -> bool:
        """Do what `event` means. False where it is for somebody else: in normal mode that are keys that type
        nothing, and Escape with no command begun."""
        vim, area = self._vim, self._area
        is_idle = vim.mode == "normal" and not vim.pending
        if event.key == "escape":
            if is_idle:
                return False
            key = "escape"
        elif event.character is not None and event.is_printable:
            key = event.character
        else:
            return False
        document = cast(Document, area.document)  # an area without a language has one of these
        step = vim.press(key, area.text, document.get_index_from_location(area.cursor_location))
        if step is None:
            return False
        if step.undoes:
            area.undo()
            at = document.get_index_from_location(area.cursor_location)
            area.move_cursor(document.get_location_from_index(min(at, last_in_line(area.text, at))))
        else:
            if step.new is not None:
                area.history.checkpoint()  # one command is one thing to undo
                start, end = (document.get_location_from_index(at) for at in (step.start, step.end))
                area.replace(step.new, start, end)
            area.move_cursor(document.get_location_from_index(min(step.cursor, len(area.text))))
            area.history.checkpoint()
        self._tell()
        return True

    def _tell(self) -> None:
        self._area.border_title = f"normal {self._vim.pending}".rstrip() if self._vim.mode == "normal" else ""
