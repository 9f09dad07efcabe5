"""The project's tests: run, watched, and what failed."""

import asyncio
import time
from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.timer import Timer
from textual.worker import Worker

from app.errors import TidegateError
from app.settings.settings import load_settings, remember_test_command
from app.testing.command import TestCommand, configured_command, found_commands
from app.testing.model import Failure, TestState
from app.testing.run import TestRun, run_tests
from app.ui.keys.actions import bindings
from app.ui.panes.lower.test_lines import TestLines, Tone
from app.ui.widgets.ask_line import AskLine
from app.workspace.places import file_named
from app.workspace.workspace import Workspace

_BETWEEN_PAINTS = 0.05  # seconds; output that comes faster is shown together


class TestsPane(Vertical):
    """The output of the tests and the list of what failed."""

    __test__ = False  # for pytest, which takes it for a class of tests

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("tests"))

    class Changed(Message):
        """A run began or ended."""

        def __init__(self, state: TestState) -> None:
            super().__init__()
            self.state = state

    class OpenWanted(Message):
        """The user wants to see the place `at` of `places`, and to go through the others from there."""

        def __init__(self, places: Sequence[Failure], at: int) -> None:
            super().__init__()
            self.places = places
            self.at = at

    class HandOverWanted(Message):
        """The user wants the agent to have these lines."""

        def __init__(self, lines: Sequence[str]) -> None:
            super().__init__()
            self.lines = lines

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(id="tests")
        self._workspace = workspace
        self.lines = TestLines()
        self._field = AskLine(id="tests-input")
        self._worker: Worker[None] | None = None
        self._clock: Timer | None = None
        self._command = TestCommand("", "")
        self._waiting: list[str] = []
        self._began = 0.0
        self.title = ""
        """What the pane's border says of it."""

    class TitleChanged(Message):
        """Another title is to be shown."""

    def compose(self) -> ComposeResult:
        yield self.lines
        yield self._field

    def on_unmount(self) -> None:
        self.cancel()

    @property
    def is_running(self) -> bool:
        """Whether the tests run."""
        return self._worker is not None

    def _say(self, title: str) -> None:
        self.title = title
        self.post_message(self.TitleChanged())

    # Running.

    def run_tests(self, *, is_sandboxed: bool = True, line: str = "") -> None:
        """Run them, by the command `line` or the one that is found, unless they run."""
        if self._worker is None:
            self._worker = self.run_worker(self._run(line, is_sandboxed), group="tests")

    def cancel(self) -> bool:
        """End the run. False if there is none."""
        if self._worker is None:
            return False
        self._worker.cancel()
        return True

    async def _run(self, line: str, is_sandboxed: bool) -> None:
        try:
            settings = await asyncio.to_thread(load_settings)
            root = self._workspace.root
            if line:
                self._command = TestCommand(line, "settings")
            else:
                configured = configured_command(root, settings.test_commands)
                found = (configured,) if configured else await asyncio.to_thread(found_commands, root)
                if not found:
                    self._not_run("No command that runs the tests was found here; c writes one.")
                    return
                self._command = found[0]
            self._begin()
            run = await run_tests(
                self._command.line,
                self._workspace,
                self._add,
                is_sandboxed=is_sandboxed,
                local_servers=settings.local_servers,
            )
            self._show_waiting()
            self._end(run)
        except TidegateError as error:
            self._not_run(str(error))
        except asyncio.CancelledError:
            if self._began:
                self._show_waiting()
                self._finish("Stopped", "muted", (), TestState("cancelled"))
            raise
        finally:
            self._worker = None
            self._began = 0.0
            if self._clock is not None:
                self._clock.stop()
                self._clock = None

    def _not_run(self, words: str) -> None:
        self.lines.begin(words)
        self._say("not run")

    def _begin(self) -> None:
        self._began = time.monotonic()
        self._waiting = []
        self.lines.begin(f"$ {self._command.line}   (by {self._command.origin})")
        self._tick()
        self._clock = self.set_interval(1, self._tick)
        self.post_message(self.Changed(TestState("running")))

    def _tick(self) -> None:
        self._say(f"running {time.monotonic() - self._began:.0f} s")

    async def _add(self, text: str) -> None:
        if not self._waiting:
            self.set_timer(_BETWEEN_PAINTS, self._show_waiting)
        self._waiting.append(text)

    def _show_waiting(self) -> None:
        text, self._waiting = "".join(self._waiting), []
        if text and self.is_mounted:
            self.lines.add(text)

    def _end(self, run: TestRun) -> None:
        report = run.report
        count = report.failed or len(report.failures)
        passed = f"{report.passed:,} passed" if report.passed else ""
        if run.status == 0:
            words, state = f"✓ {passed or 'passed'}", TestState("passed", report.passed)
        else:
            failed = f"{count:,} failed" if count else f"exit status {run.status}"
            words = f"✗ {failed}" + (f", {passed}" if passed else "")
            state = TestState("failed", report.passed, count)
        notes = list(run.notes)
        if run.was_confined:
            notes.append(
                "The sandbox, it seems, kept it from something (network, other folders); O runs it outside."
            )
        tone: Tone = "success" if run.status == 0 else "error"
        self._finish(words, tone, report.failures, state, notes)

    def _finish(
        self, words: str, tone: Tone, failures: Sequence[Failure], state: TestState, notes: Sequence[str] = ()
    ) -> None:
        if not self.is_mounted:
            return
        seconds = time.monotonic() - self._began
        self.lines.end(f"{words} in {seconds:.1f} s   $ {self._command.line}", tone, failures, notes)
        self._say(words.partition(",")[0])
        self.post_message(self.Changed(state))

    # What keys do.

    def action_run(self) -> None:
        self.run_tests(line=self._command.line)

    def action_outside(self) -> None:
        self.run_tests(is_sandboxed=False, line=self._command.line)

    def action_stop(self) -> None:
        self.cancel()

    def action_next(self) -> None:
        self.lines.step(1)

    def action_previous(self) -> None:
        self.lines.step(-1)

    async def action_open(self) -> None:
        number, place = self.lines.failure, self.lines.place
        if number is not None:
            if self.lines.failures[number].line:
                there = [failure for failure in self.lines.failures if failure.line]
                self.post_message(self.OpenWanted(there, there.index(self.lines.failures[number])))
        elif place is not None:
            path = await asyncio.to_thread(file_named, place.path, self._workspace.root)
            if path is not None:
                self.post_message(self.OpenWanted([Failure("", path, place.line)], 0))

    def on_click(self, event: events.Click) -> None:
        if event.chain == 2:
            self.run_worker(self.action_open(), group="open")

    def action_hand_over(self) -> None:
        failures = self.lines.failures
        if failures:
            told = [f"- {one.path}:{one.line} {one.name} {one.message}".rstrip() for one in failures[:40]]
            more = [f"({len(failures) - 40:,} more)"] if len(failures) > 40 else []
            self.post_message(self.HandOverWanted([f"`{self._command.line}` fails:", *told, *more]))

    def action_command(self) -> None:
        self._field.open("The command that runs the tests; empty: look for it again", self._command.line)

    def leave_input(self) -> bool:
        """Close the field for the command. False if it was not open."""
        if not self._field.close():
            return False
        self.lines.focus()
        return True

    async def on_input_submitted(self, event: AskLine.Submitted) -> None:
        event.stop()
        line = event.value.strip()
        self.leave_input()
        try:
            await asyncio.to_thread(remember_test_command, self._workspace.root, line)
        except TidegateError as error:
            self.app.notify(str(error), severity="error", timeout=8)
        self._command = TestCommand("", "")
        self.run_tests(line=line)
