"""Beside and before a file's lines: cursor or problem, numbers, what git sees as changed, guides."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from rich.segment import Segment

from app.editing.marks import LineMarks
from app.language.model import Severity
from app.ui.drawing.palette import Palette

_SIGNS = {"added": "▎", "changed": "▎", "removed": "▁", "removed above": "▔"}

PROBLEM_SIGNS: Mapping[Severity, str] = MappingProxyType(
    {"error": "✗", "warning": "!", "information": "i", "hint": "·"}
)
"""What tells problems apart where there are no colours."""

GUIDE = "│"
"""Marks a level of indentation."""


def with_guides(text: str, cells: Iterable[int]) -> str:
    """`text` with a guide in each of these cells that is blank."""
    characters = list(text)
    for cell in cells:
        if text[cell : cell + 1] == " ":
            characters[cell] = GUIDE
    return "".join(characters)


def gutter_width(count: int) -> int:
    """The cells of the gutter beside `count` lines."""
    return max(3, len(str(count))) + 3


def gutter(
    palette: Palette,
    marks: LineMarks,
    problems: Mapping[int, Severity],
    *,
    number: int,
    part: int,
    count: int,
    is_current: bool,
    has_focus: bool,
) -> list[Segment]:
    """Beside line `number`, counted from 0, or a later `part` of it that is wrapped. `problems` has the worst
    of each line that has one."""
    digits = gutter_width(count) - 3
    label = f"{number + 1:>{digits}} " if part == 0 else " " * (digits + 1)
    ground = palette.text + (palette.cursor_line if is_current and has_focus else palette.text)
    pointer = palette.primary if has_focus else palette.faint
    mark = marks.by_line.get(number) if part == 0 or marks.by_line.get(number) in ("added", "changed") else None
    tones = {"added": palette.success, "changed": palette.accent}
    tone = tones.get(mark, palette.error) if mark else palette.faint
    problem = problems.get(number) if part == 0 else None
    if problem is not None:
        weight = {"error": palette.error, "warning": palette.warning}.get(problem, palette.muted)
        sign = Segment(PROBLEM_SIGNS[problem], ground + weight)
    else:
        sign = Segment("▎" if is_current and part == 0 else " ", ground + pointer)
    return [
        sign,
        Segment(label, ground + (palette.muted if is_current else palette.faint)),
        Segment(_SIGNS[mark] if mark else " ", ground + tone),
    ]
