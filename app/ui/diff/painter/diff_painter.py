"""The rows of a diff as strips, drawn from its model and the state of the view."""

from textual.strip import Strip

from app.ui.diff.model.diff_model import DiffModel
from app.ui.diff.painter import headings, remarks
from app.ui.diff.painter.colours import DiffColours
from app.ui.diff.painter.frame import Frame
from app.ui.diff.painter.lines import LinePainter


class DiffPainter:
    """Draws any row of `model`."""

    def __init__(self, model: DiffModel, colours: DiffColours) -> None:
        self._model = model
        self._colours = colours
        self._lines = LinePainter(model, colours)

    @property
    def widest(self) -> int:
        """Cells of the longest line drawn so far."""
        return self._lines.widest

    def row(self, row: int, frame: Frame) -> Strip:
        """All of `row`, `frame.width` cells."""
        model = self._model
        place = model.rows.row(row)
        match place.kind:
            case "gap":
                return Strip.blank(frame.width, frame.palette.text)
            case "file":
                return headings.file_heading(model, frame, place, is_current=row == frame.cursor)
            case "hunk":
                unseen = self._colours.of_hunk(place).unseen
                return headings.hunk_heading(model, frame, place, row, unseen)
            case "note":
                return headings.note(model, frame, place, row)
            case "run":
                return headings.run(model, frame, place, row)
            case "remark":
                return remarks.remark(model, frame, place, row)
            case "line" | "extra" if model.split:
                return self._lines.side_by_side(place, row, frame)
            case _:
                return self._lines.unified(place, row, frame)

    def heading_above(self, row: int, frame: Frame) -> Strip:
        """The heading of the file that `row` is in, as it stays at the top of the view."""
        return headings.file_heading(self._model, frame, self._model.rows.row(row), is_current=False)
