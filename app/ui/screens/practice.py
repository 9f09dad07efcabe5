"""The workspace as the practice range: a task in the message field, and words that lead through it."""

import re
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.widget import Widget

from app.errors import TidegateError
from app.practice.model import PracticeTask
from app.practice.range.course import Course
from app.practice.range.judging import TestRun, is_test, judge, run_tests
from app.ui.background import begin_again
from app.ui.keys.actions import Scope, bindings
from app.ui.keys.keymap import Keymap
from app.ui.panes.review.pane import ReviewPane
from app.ui.panes.turns import TurnChanged
from app.ui.ports import Ports
from app.ui.screens.workspace import WorkspaceScreen
from app.ui.widgets.practice_words import PracticeWords

_PLACE = re.compile(r'File "(?P<path>[^"]+)", line (?P<line>\d+)')
_SHOWN_LINES = 10  # of what the failing tests print, the last, without rules and blank ones


class PracticeScreen(WorkspaceScreen):
    """`model` is a sentence on what answers here, `notice` one on where this is kept, "" where all is usual."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("practice"))
    is_practice = True

    class NextWanted(Message):
        """The user wants another task."""

    def __init__(
        self,
        ports: Ports,
        keymap: Keymap,
        task: PracticeTask,
        *,
        model: str,
        notice: str = "",
        is_confined: bool,
        session: str | None = None,
    ) -> None:
        super().__init__(ports, keymap, show_file=None, session=session)
        self._assignment = task
        self._notice = notice
        self._course = Course() if session is None else Course("unchanged")
        self._words = PracticeWords(
            self._key, model=model, asks_for_two=task.wrong_wish is not None, is_confined=is_confined
        )

    def compose(self) -> ComposeResult:
        yield self._words
        yield from super().compose()

    def on_mount(self) -> None:
        self._words.show(self._course)
        if self._notice:
            self.agent.tell(self._notice)
        if self._course.stage == "ready":
            self.agent.prompt.set_draft(self._assignment.prompt)
            self.run_worker(self._show_failure(), group="practice")

    async def _show_failure(self) -> None:
        """The failing test in the viewer, and what it prints in the conversation."""
        run = await run_tests(self._ports.workspace.root, self._assignment.test_command)
        lines = [line for line in run.output.split("\n") if line.strip(" -=")]
        said = "\n".join(lines[-_SHOWN_LINES:]).replace(f"{self._ports.workspace.root}/", "")
        self.agent.explain(f"`{self._assignment.test_command}`, exit status {run.status}:\n\n```\n{said}\n```")
        path, line = self._place(run)
        self.viewer.open(path, line)

    def _place(self, run: TestRun) -> tuple[str, int]:
        """The line of the first test that fails, or the first test file."""
        tests = [path for path in self._assignment.files if is_test(path)]
        for found in _PLACE.finditer(run.output):
            name = found["path"].removeprefix(f"{self._ports.workspace.root}/")
            if name in tests:
                return name, int(found["line"])
        return tests[0], 1

    def action_next_task(self) -> None:
        if self.agent.is_working:
            self.app.notify(f"The agent is still working; {self._key('workspace.cancel')} stops it.", timeout=3)
        else:
            self.post_message(self.NextWanted())

    def leave_innermost(self) -> bool:
        return super().leave_innermost() or self._words.hide()

    @staticmethod
    def _scopes_of(widget: Widget) -> tuple[Scope, ...]:
        *inner, outermost = WorkspaceScreen._scopes_of(widget)
        return (*inner, "practice", outermost)

    # What happens, and how far the task has come by it.

    def on_agent_pane_turn_changed(self, event: TurnChanged) -> None:
        self._come_to(self._course.turn_began() if event.running else self._course.turn_ended())

    def on_review_pane_counted(self, event: ReviewPane.Counted) -> None:
        if self.review.desk.source == "":
            self._come_to(self._course.counted(event.decided, event.total))

    def on_review_pane_disk_changed(self) -> None:
        self._come_to(self._course.files_changed())

    def _come_to(self, course: Course) -> None:
        before, self._course = self._course.stage, course
        self._words.show(course)
        if course.stage == before:
            return
        if course.stage == "reviewing" and before != "judged" and not self.agent.prompt.text.strip():
            # There is nothing to do but to review, and its keys are to work at once.
            self.action_show_review()
        elif course.stage == "judging":
            begin_again(self, "judging", self._judge)

    async def _judge(self) -> None:
        try:
            verdict = await judge(self._assignment, self._ports.workspace.root)
        except (OSError, TidegateError) as error:
            self.app.notify(f"The hidden tests cannot be run: {error}", severity="warning")
        else:
            self._come_to(self._course.judged(verdict))
