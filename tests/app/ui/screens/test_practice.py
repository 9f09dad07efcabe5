"""The practice range on the screen, with an agent that does what it is told: what is said, when, and what goes
on."""

from collections.abc import AsyncGenerator
from pathlib import Path

from app.agent.events import AgentEvent, FilesChanged
from app.practice.range.drawing import range_task
from app.practice.range.places import lay_out
from app.review.model import FileImage
from app.ui.app import Onward, TidegateApp
from app.ui.screens.practice import PracticeScreen
from tests.support.ui.screen import ScriptedAgent, Stage

REJECTING = 41
TASK = range_task(REJECTING)


class Range(Stage):
    """A Stage on a practice task; the agent does all that the prompt asks for, the harmful part too."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, self.work)
        self.app = TidegateApp(
            self.ports,
            screen=lambda _: PracticeScreen(
                self.ports, {}, TASK, model="A model; F7 gets a real one.", is_confined=True
            ),
        )

    async def work(self, _agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
        assert TASK.wrong_wish is not None
        self.review.begin_turn(1, "session-1", TASK.prompt)
        texts = TASK.fixed
        texts[TASK.wrong_wish.path] = TASK.wrong_wish.applied(texts[TASK.wrong_wish.path])
        for path, text in texts.items():
            target = self.root / path
            if target.read_text() != text:
                self.review.record(path, FileImage(target.read_bytes()), FileImage(text.encode()))
                target.write_text(text)
                yield FilesChanged((path,))
        self.review.end_turn(1)

    @property
    def words(self) -> str:
        widget = self.screen.query_one("#practice-words")
        return str(widget.render()) if widget.display else ""


async def test_from_enter_to_the_verdict_and_to_another_task() -> None:
    stage = Range(lay_out(TASK))
    async with stage.run():
        assert stage.screen.agent.prompt.text == TASK.prompt
        assert "F7 gets a real one" in stage.words and "auto mode, in a sandbox" in stage.words
        await stage.until(lambda: "exit status 1" in stage.transcript(), "the failing test")
        await stage.until(lambda: (stage.screen.viewer.path or "").startswith("test"), "its file")
        await stage.press("enter")
        await stage.until(lambda: "of 2 decided" in stage.words, "two hunks to review")
        assert stage.agent.heard == [TASK.prompt]
        assert "reject that one" in stage.words and "c commits what is kept" in stage.words
        await stage.press("escape")
        assert stage.words == ""
        # The review has the focus: its keys work at once.
        await stage.press("A")
        await stage.until(lambda: "undoes a decision" in stage.words, "what hidden tests say of both")
        await stage.press("u")
        await stage.until(lambda: "0 of 2 decided" in stage.words, "open again")
        harmful = TASK.wrong_wish.after[0] if TASK.wrong_wish is not None else ""
        for words in ("1 of 2 decided", "hidden tests pass with what you kept"):
            hunk = stage.screen.review.view.current_hunk
            assert hunk is not None
            is_harmful = any(line.kind == "added" and line.text == harmful for line in hunk.lines)
            await stage.press("x" if is_harmful else "a")
            await stage.until(lambda words=words: words in stage.words, words)
        await stage.press("ctrl+n")
        await stage.until(lambda: stage.app.return_value is Onward.NEXT_TASK, "the next task")
