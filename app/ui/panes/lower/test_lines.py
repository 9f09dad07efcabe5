"""The failures of a test run, and below them what the command wrote."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from rich.cells import cell_len
from rich.style import Style

from app.testing.model import Failure
from app.ui.drawing.text import Span, visible
from app.ui.widgets.line_view import LineView
from app.workspace.places import Place, places_in

_MOST_LINES = 50_000  # of output that are shown, the newest
_LONGEST_LINE = 4_000  # characters of a line that are shown

Tone = Literal["success", "error", "warning", "muted"]


class TestLines(LineView):
    """A headline, failures, output. While output comes, the view follows its end if the cursor is there."""

    __test__ = False  # for pytest, which takes it for a class of tests

    has_cursor: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__(id="test-lines")
        self.headline: tuple[str, Tone] = ("", "muted")
        self.notes: tuple[str, ...] = ()
        self.failures: Sequence[Failure] = ()
        self.output: list[str] = []
        self._unfinished = ""  # the last line, as far as it was written
        self._widest = 0

    # What is shown.

    def begin(self, headline: str) -> None:
        """A run begins."""
        self.headline, self.failures, self.notes = (headline, "muted"), (), ()
        self.output, self._unfinished, self._widest = [], "", 0
        self.cursor_row = 0
        self._extend()
        self.scroll_to(x=0, y=0, animate=False, force=True)

    def add(self, text: str) -> None:
        """The command wrote `text`."""
        follows = self.cursor_row >= self.row_count - 1
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        self._unfinished = self._unfinished[-_LONGEST_LINE:]
        lines = [visible(line[:_LONGEST_LINE]) for line in lines[-_MOST_LINES:]]
        self.output += lines
        if len(self.output) > _MOST_LINES + _MOST_LINES // 10:
            del self.output[:-_MOST_LINES]
        self._widest = max([self._widest, *map(cell_len, lines)])
        self._extend()
        if follows:
            self.move_to(self.row_count - 1)

    def end(self, headline: str, tone: Tone, failures: Sequence[Failure], notes: Sequence[str] = ()) -> None:
        """The run has ended: the failures are at the top, with the cursor on the first."""
        if self._unfinished:
            self.add("\n")
        self.headline, self.failures, self.notes = (headline, tone), failures, tuple(notes)
        self._extend()
        self.move_to(1 if failures else 0)

    def _extend(self) -> None:
        heads = [self.headline[0], *self.notes, *map(_label, range(len(self.failures)), self.failures)]
        self.set_extent(self._first_output + len(self.output), max([self._widest, *map(cell_len, heads)]) + 1)

    @property
    def _first_output(self) -> int:
        """The row of the first line of output: below the headline, failures, notes and an empty row."""
        return 2 + len(self.failures) + len(self.notes)

    # What the cursor is on.

    @property
    def failure(self) -> int | None:
        """The number of the failure under the cursor."""
        index = self.cursor_row - 1
        return index if 0 <= index < len(self.failures) else None

    @property
    def place(self) -> Place | None:
        """The place that the line of output under the cursor names first."""
        index = self.cursor_row - self._first_output
        return next(places_in(self.output[index]), None) if 0 <= index < len(self.output) else None

    def step(self, step: int) -> bool:
        """Go to the next failure, or the one before, around the end. False if there is none."""
        if not self.failures:
            return False
        current = self.failure
        at = (current + step) % len(self.failures) if current is not None else 0 if step > 0 else -1
        self.move_to(1 + at % len(self.failures))
        return True

    # Drawing.

    def body(self, row: int, left: int, width: int) -> tuple[str, Style, list[Span], int]:  # noqa: ARG002
        text, base, palette = self.row_text(row), self.base_style(row), self.palette
        tones = {"success": palette.success, "error": palette.error, "warning": palette.warning}
        if row == 0:
            tone = tones.get(self.headline[1], palette.muted)
            return text, base, [(0, len(text), tone + Style(bold=True))], 0
        if row <= len(self.failures):
            failure = self.failures[row - 1]
            place = len(_place(failure)) + 4
            name = place + len(visible(failure.name))
            return (
                text,
                base,
                [(0, 2, palette.error), (2, place, palette.accent), (name, len(text), palette.muted)],
                0,
            )
        if row < self._first_output:
            return text, base, [(0, len(text), palette.warning)], 0
        named = Style(underline=True)
        return text, base, [(place.start, place.end, named) for place in places_in(text)], 0

    def row_text(self, row: int) -> str:
        if row == 0:
            return self.headline[0]
        if row <= len(self.failures):
            return _label(row - 1, self.failures[row - 1])
        if row < self._first_output:
            notes = (*self.notes, "")
            return notes[row - 1 - len(self.failures)]
        return self.output[row - self._first_output]


def _place(failure: Failure) -> str:
    return visible(f"{failure.path}:{failure.line}" if failure.line else failure.path)


def _label(_number: int, failure: Failure) -> str:
    return f"✗ {_place(failure)}  {visible(failure.name)}  {visible(failure.message)}"
