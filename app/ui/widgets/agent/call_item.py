"""A tool call in the transcript: what it does, how it stands, and what it printed."""

import time
from dataclasses import dataclass, field
from typing import Literal

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from app.ui.drawing.palette import Palette
from app.ui.drawing.text import duration, visible, wrap
from app.ui.widgets.agent.transcript_items import LONGEST_LINE, Item, guessed_rows, row_of

COMMAND = "run_shell_command"
"""The tool whose output is seen without unfolding it."""
_MOST_OUTPUT = 400  # lines of a call's output shown when expanded
_CLOSED_ROWS = 3  # rows of a call whose output is not shown
_LIVE = 5  # lines of a running command in view, the newest
_FIRST, _LAST = 2, 3  # lines of a command that has ended in view
_NOTHING = "[No output]"

CallState = Literal["writing", "asking", "running", "ok", "failed", "cancelled"]

_MARKS: dict[CallState, str] = {
    "writing": "◌",
    "asking": "?",
    "running": "◍",
    "ok": "●",
    "failed": "✗",
    "cancelled": "○",
}


def _shortened(summary: str, width: int) -> list[str]:
    """The start of what a call does, on as many rows as a closed call has: the word that matters in a command
    is seldom among its first."""
    rows = wrap(" ".join(visible(summary.replace("\n", " ")).split()), width)
    if len(rows) > _CLOSED_ROWS:
        last = _cut(" ".join(rows[_CLOSED_ROWS - 1 :]), width)
        rows = [*rows[: _CLOSED_ROWS - 1], last]
    return rows


def _cut(line: str, width: int) -> str:
    cut = Text(line)
    cut.truncate(width, overflow="ellipsis")
    return cut.plain


def preview(lines: list[str], *, is_running: bool) -> list[str]:
    """What of a command's output is seen while it runs (the newest lines), and afterwards (first and last)."""
    said = [line for line in lines if line.strip()]
    if is_running:
        return said[-_LIVE:]
    if said == [_NOTHING]:
        return []
    if len(said) <= _FIRST + _LAST + 1:
        return said
    return [*said[:_FIRST], f"… {len(said) - _FIRST - _LAST:,} more lines", *said[-_LAST:]]


@dataclass
class CallItem(Item):
    """One tool call with its output under it when expanded; of a command something is seen in any case.
    `is_users`: the user ran it, and sees all of its output."""

    call_id: str
    name: str
    summary: str = ""
    state: CallState = "writing"
    output: str = ""
    expanded: bool = False
    selected: bool = False
    written: int = 0  # characters of arguments so far
    is_users: bool = False
    _began: float = field(default=0.0, init=False, repr=False)
    seconds: float = field(default=0.0, init=False)
    """How long it has run."""

    def begin(self) -> None:
        """It runs from now on."""
        self.state = "running"
        self._began = time.monotonic()

    def tick(self) -> None:
        """Take the time."""
        if self.state == "running":
            self.seconds = time.monotonic() - self._began

    def end(self, state: CallState) -> None:
        """It has ended as `state` says."""
        self.tick()
        self.state = state

    @property
    def lines(self) -> list[str]:
        """Its output."""
        return self.output.rstrip("\n").split("\n") if self.output.strip() else []

    @property
    def source(self) -> str:
        """What a search looks at."""
        return f"{self.summary}\n{self.output}"

    def open(self) -> None:
        """Show the output, for what was found in it."""
        self.expanded = True

    def _tail(self, lines: list[str]) -> str:
        if self.state == "writing":
            return f" {self.written:,} characters" if self.written else ""
        took = f" {duration(self.seconds)}" if self.seconds >= 1 else ""
        if self.state in ("asking", "running"):
            return " asks you" if self.state == "asking" else f" running{took}"
        return f"{took} {'▾' if self.expanded else '▸'} {len(lines)}" if lines else took

    def render(self, width: int, palette: Palette) -> list[Strip]:
        tones = {"ok": palette.success, "failed": palette.error, "cancelled": palette.faint}
        tone = tones.get(self.state, palette.accent)
        base = palette.text + (palette.cursor_line if self.selected else Style())
        summary = self.summary or f"{self.name} …"
        lines = self.lines
        tail = self._tail(lines)
        room = max(8, width - 3 - cell_len(tail))
        said = wrap(summary, room)
        if len(said) > 1 and not self.expanded:
            said = _shortened(summary, room)
        marks = [(f"{_MARKS[self.state]} ", base + tone), *[("  ", base)] * (len(said) - 1)]
        tails = [*[("", base)] * (len(said) - 1), (tail, base + palette.muted)]
        rows = [
            row_of(mark, (line, base), end).extend_cell_length(width, base)
            for mark, line, end in zip(marks, said, tails, strict=True)
        ]
        if self.expanded:
            rows += self._output_rows(lines, width, palette)
            rows.append(Strip.blank(width, palette.text))
        elif self.name == COMMAND and lines:
            rows += self._preview_rows(lines, width, palette)
        elif self.state == "failed" and lines:
            style = palette.text + palette.muted
            rows += [row_of(("  ", style), (line, style)) for line in _shortened(lines[0][:LONGEST_LINE], room)]
        return rows

    def guess(self, width: int) -> int:
        shown = "\n".join(self.output.split("\n", _MOST_OUTPUT)[:_MOST_OUTPUT]) if self.expanded else ""
        rows = 1 + len(self.summary) // max(8, width)
        if not shown and self.name == COMMAND:
            return rows + min(self.output.rstrip("\n").count("\n") + 1, _FIRST + _LAST + 1)
        return rows + (guessed_rows(shown, width - 5) if shown else 0)

    def _preview_rows(self, lines: list[str], width: int, palette: Palette) -> list[Strip]:
        edge = ("│ ", palette.text + palette.faint)
        style = palette.text + palette.muted
        return [
            row_of(("  ", palette.text), edge, (_cut(visible(line[:LONGEST_LINE]), max(4, width - 5)), style))
            for line in preview(lines, is_running=self.state == "running")
        ]

    def _output_rows(self, lines: list[str], width: int, palette: Palette) -> list[Strip]:
        looks_like_diff = any(line.startswith("@@") for line in lines[:8])
        rows = []
        edge = ("│ ", palette.text + palette.faint)
        most = len(lines) if self.is_users else _MOST_OUTPUT
        for line in lines[:most]:
            style = palette.text + palette.muted
            if looks_like_diff and line.startswith("+"):
                style = palette.text + palette.added
            elif looks_like_diff and line.startswith("-"):
                style = palette.text + palette.removed
            rows += [
                row_of(("  ", palette.text), edge, (piece, style))
                for piece in wrap(line[:LONGEST_LINE], width - 5)
            ]
        if len(lines) > most:
            rest = f"{len(lines) - most:,} more lines"
            rows.append(row_of(("  ", palette.text), edge, (rest, palette.text + palette.faint)))
        return rows
