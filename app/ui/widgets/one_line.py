"""A line of text that is made anew for every width and theme."""

from rich.text import Text
from textual import events
from textual.widgets import Static

from app.ui.drawing.palette import Palette


class OneLine(Static):
    """A subclass answers `line`; `redraw` shows it."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)

    def line(self, width: int, palette: Palette) -> Text:
        """The text, in at most `width` cells."""
        raise NotImplementedError

    def redraw(self) -> None:
        """To be called when what `line` says has changed."""
        width = self.size.width
        if width:
            self.update(self.line(width, Palette.from_variables(self.app.theme_variables)), layout=False)

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002
        self.redraw()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self.is_mounted:
            self.redraw()
