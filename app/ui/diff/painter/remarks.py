"""How the rows of remarks look: alike, and told apart by a sign and a colour for who speaks."""

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from app.review.model import Comment, Remark
from app.review.remarks.model import Answer, Note
from app.ui.diff.model.diff_model import DiffModel
from app.ui.diff.model.rows import Row
from app.ui.diff.painter.frame import Frame
from app.ui.diff.painter.headings import edge
from app.ui.drawing.palette import Palette


def remark(model: DiffModel, frame: Frame, place: Row, row: int) -> Strip:
    """A row of what somebody said, or of the reason why a hunk does not fit."""
    palette = frame.palette
    said = model.rows.shape(model.hunk_of(place)).remarks[place.left or 0]
    sign, tone, base, words = _look(said.remark, palette)
    if row == frame.cursor and frame.has_focus:
        base += palette.cursor_line
    if said.is_quoted:
        words = palette.strong
    lead = " " * max(0, model.gutter_width - 3) + (sign if said.is_first else " ") + " "
    text = said.text
    if said.hidden:
        more = f" … {said.hidden} more"
        room = max(0, frame.width - 1 - cell_len(lead) - cell_len(more))
        text = (text if cell_len(text) <= room else set_cell_size(text, room)) + more
    segments = [edge(model, frame, place, base), Segment(lead, base + tone), Segment(text, base + words)]
    return Strip(segments).crop_extend(0, frame.width, base)


def _look(said: Remark | None, palette: Palette) -> tuple[str, Style, Style, Style]:
    """The sign of who speaks and its colour, the ground, and the colour of the words."""
    ground = palette.text + palette.section
    match said:
        case Comment(is_sent=False):
            return "✎", palette.primary, palette.user, Style()
        case Comment():
            return "✓", palette.muted, ground, palette.muted
        case Answer():
            return "?", palette.primary, ground, Style()
        case Note():
            return "»", palette.accent, ground, Style()
        case _:
            return "!", palette.error, ground, palette.muted
