"""The state of the view that a row of a diff is drawn for."""

from dataclasses import dataclass

from rich.style import Style
from textual.selection import Selection

from app.ui.diff.model.selection import LineSelection
from app.ui.drawing.palette import Palette


@dataclass(frozen=True, slots=True)
class Frame:
    """`width` cells are drawn, with the code scrolled `left` cells to the right. `marked` is the text that the
    mouse marked within lines."""

    palette: Palette
    selection: LineSelection
    width: int
    left: int = 0
    cursor: int = 0
    has_focus: bool = False
    marked: Selection | None = None

    def base_style(self, row: int) -> Style:
        """The background of unchanged text in `row`."""
        if self.has_focus and row == self.cursor:
            return self.palette.text + self.palette.cursor_line
        return self.palette.text

    def selects(self, row: int, *, is_left: bool) -> bool:
        """Whether the line in `row` is selected, side by side the one on that side."""
        return self.selection.holds(row, self.cursor, is_left=is_left)
