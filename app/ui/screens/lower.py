"""What the workspace's screen does with the pane below the others."""

# ruff: noqa: PLC0415  views are imported when they are first shown: the first frame does without them
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.widget import Widget

from app.language.model import Problem, ServerState
from app.testing.model import TestState
from app.ui.keys.keymap import Keymap
from app.ui.panes.agent import AgentPane
from app.ui.panes.lower.pane import LowerPane, View
from app.ui.panes.viewer import ViewerPane
from app.ui.screens.finding import Finding
from app.ui.screens.panes import PanesScreen
from app.workspace.search.ripgrep import Match
from app.workspace.workspace import Workspace

if TYPE_CHECKING:
    from app.language.servers import LanguageServers
    from app.ui.panes.lower.problems import ProblemsPane
    from app.ui.panes.lower.terminal import TerminalPane
    from app.ui.panes.lower.tests import TestsPane
    from app.ui.screens.language import Language

_LOW = 32  # rows; in fewer, the pane gets half of them


class LowerScreen(PanesScreen):
    """A screen of panes with another along its bottom, once there is something for it to show. A subclass has
    `viewer` and `finding`."""

    viewer: ViewerPane
    finding: Finding

    def __init__(self, keymap: Keymap, workspace: Workspace) -> None:
        super().__init__(keymap, workspace.root)
        self._in = workspace
        self.lower = LowerPane()
        self._keymap = keymap
        self._tests: TestsPane | None = None
        self._terminal: TerminalPane | None = None
        self._problems: ProblemsPane | None = None
        self._language: Language | None = None

    def tests_changed(self, state: TestState) -> None:
        """A run of the tests began or ended."""
        raise NotImplementedError

    def problems_counted(self, errors: int, warnings: int) -> None:
        """The language servers know of so many."""
        raise NotImplementedError

    def fold(self) -> None:
        super().fold()
        self.set_class(self.app.size.height < _LOW, "low")

    async def _show_lower(self, name: View, view: Widget) -> None:
        if not self.lower.is_attached:
            await self.mount(self.lower, after="#panes")
        await self.lower.show(name, view)

    def action_zoom(self) -> None:
        if self._is_in_lower:
            self.toggle_class("lower-zoomed")
        else:
            super().action_zoom()

    @property
    def _is_in_lower(self) -> bool:
        return self.focused is not None and self.lower in self.focused.ancestors

    def leave_lower(self) -> bool:
        """Leave the pane, if it has the focus: an open field, then all of it. False if there was nothing."""
        if not self._is_in_lower:
            return False
        if self._tests is None or not self._tests.leave_input():
            self._hide_lower()
        return True

    def _hide_lower(self) -> None:
        self.lower.hide()
        self.remove_class("lower-zoomed")
        self.focus_main()

    # Language servers.

    def begin_language(self, servers: "LanguageServers") -> None:
        """From now on files are shown to `servers`."""
        from app.ui.screens.language import Language

        self._language = Language(self, servers, self._in.root)
        self._language.show_file()

    async def end_language(self) -> None:
        """End the servers."""
        if self._language is not None:
            await self._language.servers.aclose()

    def file_shown(self, *, is_writing: bool = False) -> None:
        """Another file is open, or it has other content; perhaps more of it will be written at once."""
        if self._language is not None:
            self._language.show_file(is_writing=is_writing)

    def problems_changed(self, problems: Sequence[Problem], states: Sequence[ServerState]) -> None:
        """The servers know of these, and stand so."""
        counts = Counter(problem.severity for problem in problems)
        self.problems_counted(counts["error"], counts["warning"])
        if self._problems is not None:
            self._problems.show(problems, states)
            self.lower.retitle()

    async def action_show_problems(self) -> None:
        from app.ui.panes.lower.problems import ProblemsPane

        if self._problems is None:
            self._problems = ProblemsPane()
        await self._show_lower("problems", self._problems)
        self._problems.lines.focus()
        if self._language is not None:
            self._language.show_problems()
        else:
            self.problems_changed((), ())

    def action_definition(self) -> None:
        if self._language is not None:
            self._language.definition()

    def action_references(self) -> None:
        if self._language is not None:
            self._language.references()

    def on_problems_pane_open_wanted(self, event: "ProblemsPane.OpenWanted") -> None:
        self.finding.walk([Match(one.path, one.line, one.message) for one in event.problems], event.at)

    def on_problems_pane_hand_over_wanted(self, event: "ProblemsPane.HandOverWanted") -> None:
        self.finding.put_into_message(event.lines)

    # The terminal.

    async def show_terminal(self, line: str | None = None) -> None:
        """Show the terminal, with the focus, and have its shell run the command `line`, if there is one."""
        from app.ui.panes.lower.terminal import TerminalPane

        if self._terminal is None:
            self._terminal = TerminalPane(self._in, self._keymap)
        await self._show_lower("terminal", self._terminal)
        self._terminal.view.focus()
        self._terminal.begin(line)

    async def on_agent_pane_terminal_wanted(self, event: AgentPane.TerminalWanted) -> None:
        await self.show_terminal(event.line)

    async def action_show_terminal(self) -> None:
        await self.show_terminal()

    async def action_toggle_terminal(self) -> None:
        if self._terminal is not None and self.lower.shown == "terminal" and self._is_in_lower:
            self._hide_lower()
        else:
            await self.show_terminal()

    def on_terminal_pane_title_changed(self) -> None:
        self.lower.retitle()
        if self._terminal is not None and self._terminal.view.has_focus:
            self.hint_line.show(("shell",) if self._terminal.view.is_typing else ("terminal", "app"))

    def on_terminal_pane_open_wanted(self, event: "TerminalPane.OpenWanted") -> None:
        self.finding.walk([Match(event.path, event.line, "")], 0)

    def on_terminal_pane_hand_over_wanted(self, event: "TerminalPane.HandOverWanted") -> None:
        self.finding.put_into_message(event.lines)

    # Tests.

    async def _show_tests(self) -> "TestsPane":
        from app.ui.panes.lower.tests import TestsPane

        if self._tests is None:
            self._tests = TestsPane(self._in)
        await self._show_lower("tests", self._tests)
        return self._tests

    async def action_show_tests(self) -> None:
        tests = await self._show_tests()
        tests.lines.focus()

    async def action_run_tests(self) -> None:
        tests = await self._show_tests()
        tests.run_tests()

    def on_tests_pane_title_changed(self) -> None:
        self.lower.retitle()

    def on_tests_pane_changed(self, event: "TestsPane.Changed") -> None:
        self.tests_changed(event.state)

    def on_tests_pane_open_wanted(self, event: "TestsPane.OpenWanted") -> None:
        self.finding.walk([Match(one.path, one.line, one.message) for one in event.places], event.at)

    def on_tests_pane_hand_over_wanted(self, event: "TestsPane.HandOverWanted") -> None:
        self.finding.put_into_message(event.lines)
