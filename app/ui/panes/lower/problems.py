"""What language servers find wrong, in all files they know."""

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message

from app.language.model import Problem, ServerState
from app.ui.drawing.gutter import PROBLEM_SIGNS
from app.ui.drawing.text import Span, visible
from app.ui.keys.actions import bindings
from app.ui.widgets.line_view import LineView


class ProblemLines(LineView):
    """A row for each problem, and one for each server that is not there; one that says so where all is well."""

    has_cursor: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__(id="problem-lines")
        self.problems: Sequence[Problem] = ()
        self._states: Sequence[ServerState] = ()

    def show(self, problems: Sequence[Problem], states: Sequence[ServerState]) -> None:
        """Show these; the cursor stays on the problem that it was on."""
        current = self.problem
        self.problems, self._states = problems, states
        texts = [self._text(row) for row in range(len(problems) + max(1, len(states)))]
        self.set_extent(len(texts), max(map(len, texts)) + 1)
        if current in problems:
            self.point_to(problems.index(current))

    @property
    def problem(self) -> Problem | None:
        """The problem under the cursor."""
        return self.problems[self.cursor_row] if self.cursor_row < len(self.problems) else None

    def _text(self, row: int) -> str:
        if row < len(self.problems):
            one = self.problems[row]
            told = " ".join(filter(None, (one.source, one.code)))
            return visible(f"{PROBLEM_SIGNS[one.severity]} {one.path}:{one.line}  {one.message}  {told}")
        if not self._states:
            return "No language server runs: each starts with a file of its language, if it is installed."
        state = self._states[row - len(self.problems)]
        return visible(f"  {state.name}: {state.words or state.phase}")

    def body(self, row: int, left: int, width: int) -> tuple[str, Style, list[Span], int]:  # noqa: ARG002
        text, base, palette = self._text(row), self.base_style(row), self.palette
        if row >= len(self.problems):
            return text, base, [(0, len(text), palette.muted)], 0
        one = self.problems[row]
        tones = {"error": palette.error, "warning": palette.warning}
        place = len(visible(f"{one.path}:{one.line}")) + 2
        end = place + 2 + len(visible(one.message))
        tone = tones.get(one.severity, palette.muted)
        return text, base, [(0, 2, tone), (2, place, palette.accent), (end, len(text), palette.muted)], 0

    def row_text(self, row: int) -> str:
        return self._text(row)


class ProblemsPane(Vertical):
    """The list, and what keys do with it."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("problems"))

    class OpenWanted(Message):
        """The user wants to see the problem `at` of `problems`, and to go through the others from there."""

        def __init__(self, problems: Sequence[Problem], at: int) -> None:
            super().__init__()
            self.problems = problems
            self.at = at

    class HandOverWanted(Message):
        """The user wants the agent to have these lines."""

        def __init__(self, lines: Sequence[str]) -> None:
            super().__init__()
            self.lines = lines

    def __init__(self) -> None:
        super().__init__(id="problems")
        self.lines = ProblemLines()
        self.title = ""
        """What the pane's border says of it."""

    def compose(self) -> ComposeResult:
        yield self.lines

    def show(self, problems: Sequence[Problem], states: Sequence[ServerState]) -> None:
        """Show these."""
        self.lines.show(problems, states)
        self.title = f"{len(problems):,}" if problems else ""

    def action_open(self) -> None:
        if self.lines.problem is not None:
            self.post_message(self.OpenWanted(self.lines.problems, self.lines.cursor_row))

    def action_hand_over(self) -> None:
        if self.lines.problems:
            told = [
                f"- {one.path}:{one.line} {one.severity}: {one.message}" for one in self.lines.problems[:40]
            ]
            self.post_message(self.HandOverWanted(["The language servers find:", *told]))

    def on_click(self, event: events.Click) -> None:
        if event.chain == 2:
            self.action_open()
