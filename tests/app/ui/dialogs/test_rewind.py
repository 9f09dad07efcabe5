"""Going back to before a turn from the workspace: files, conversation or both, and forward again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.agent.agent import Agent
from app.agent.events import TurnStarted
from app.agent.port import PermissionAsker
from app.agent.session.session import new_journal, open_journal
from app.model.events import Finished, StreamEvent, TextDelta, ToolCallDelta
from app.model.messages import ChatRequest
from app.ui.app import TidegateApp
from app.ui.dialogs.listing import Listing
from app.ui.ports import Ports
from app.workspace.workspace import Workspace
from tests.support.ui.screen import FakeEngine, Stage


class Writer(FakeEngine):
    """A model that writes the user's last word into a.txt and says so."""

    async def stream(self, request: ChatRequest) -> AsyncIterator[StreamEvent]:
        last = request.messages[-1]
        if last.role == "user":
            word = last.content.split()[-1]
            call = f'{{"file_path": "a.txt", "content": "{word}\\n"}}'
            yield ToolCallDelta(0, f"call-{len(request.messages)}", "write_file", call)
            yield Finished("tool_calls")
        else:
            yield TextDelta("Written.")
            yield Finished("stop")


class Real(Stage):
    """A stage with a real agent on it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.engine = Writer()
        self.app = TidegateApp(Ports(Workspace(root), self.review, self.engine, self._real_agent))

    def _real_agent(self, asker: PermissionAsker, session: str | None = None) -> Agent:
        journal = new_journal(self.root) if session is None else open_journal(self.root, session)
        return Agent(Workspace(self.root), self.engine, self.review, asker, journal, mode="auto")

    async def ask(self, word: str) -> None:
        await self.until(lambda: self.screen.agent.session_id and not self.screen.agent.is_working)
        self.screen.agent.prompt.text = ""
        await self.say(f"Write {word}")
        await self.until(lambda: self.text() == word, word)
        await self.until(lambda: not self.screen.agent.is_working)

    async def choose(self, *keys: str) -> None:
        """Open the choice, press keys, and see it carried out."""
        await self.press("f12")
        await self.until(lambda: isinstance(self.app.screen, Listing))
        await self.press(*keys)
        await self.until(lambda: self.app.screen is self.screen)
        await self.until(lambda: not [one for one in self.app.workers if one.group == "rewind"])

    def text(self) -> str:
        path = self.root / "a.txt"
        return path.read_text().strip() if path.exists() else ""

    def said(self) -> list[str]:
        return [event.text for event in self.screen.agent.port.history() if isinstance(event, TurnStarted)]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    place = tmp_path / "work"
    place.mkdir()
    return place


async def test_files_and_conversation_go_back_together_and_come_again(root: Path) -> None:
    stage = Real(root)
    async with stage.run():
        for word in ("one", "two", "three"):
            await stage.ask(word)
        await stage.choose("enter")  # the newest turn is chosen already
        assert stage.text() == "two"
        assert stage.screen.agent.prompt.text == "Write three"
        assert "Write three" not in stage.transcript()
        assert "Write two" in stage.transcript()
        await stage.choose("g", "enter")
        assert stage.text() == "three"
        assert "Write three" in stage.transcript()
        assert stage.screen.agent.prompt.text == ""
        await stage.choose("G", "enter")
        assert (stage.text(), stage.said()) == ("", [])
        await stage.ask("four")
        assert stage.said() == ["Write four"]
        # What was left behind is still there to go to.
        await stage.choose("g", "c")
        assert stage.said() == ["Write one", "Write two", "Write three"]


async def test_each_half_goes_back_alone(root: Path) -> None:
    stage = Real(root)
    async with stage.run():
        for word in ("one", "two"):
            await stage.ask(word)
        await stage.choose("c")
        assert (stage.text(), stage.said()) == ("two", ["Write one"])
        await stage.choose("g", "c")
        assert stage.said() == ["Write one", "Write two"]
        await stage.choose("f")
        assert (stage.text(), stage.said()) == ("one", ["Write one", "Write two"])
        assert "+two" in stage.review.feedback(), "the agent hears that its work is gone"
        await stage.choose("g", "f")
        assert stage.text() == "two"
