"""Agents beside the user's workspace, by keys: begun, listed, switched to, brought over and removed."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.agent.events import AgentEvent, FilesChanged
from app.agent.port import PermissionRequest
from app.review.review import Review
from app.ui.agents.new import NewAgent
from app.ui.app import TidegateApp
from app.ui.dialogs.confirm import Confirm
from app.ui.drawing.palette import Palette
from app.ui.ports import Ports
from app.ui.widgets.agent.permission_prompt import PermissionPrompt
from app.ui.widgets.line_input import LineInput
from app.workspace.workspace import Workspace
from app.worktrees.worktrees import Worktrees
from tests.support.review.review_cases import git
from tests.support.ui.screen import FakeEngine, ScriptedAgent, Stage


class Beside(Stage):
    """A Stage on a repository, whose agents in worktrees all change one line of `code.py`."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.beside: dict[Path, ScriptedAgent] = {}
        self.app = TidegateApp(self.ports, ports_of=self._ports_of)

    def _ports_of(self, root: Path) -> Ports:
        async def play(agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
            assert agent.asker is not None
            await agent.go_on.wait()
            await agent.asker.ask(PermissionRequest("c", "edit", {}, "edit code.py", "it asks first"))
            (root / "code.py").write_text("answer = 42\n")
            yield FilesChanged(("code.py",))

        agent = self.beside[root] = ScriptedAgent(play)

        def opened(asker: object, _session: str | None = None) -> ScriptedAgent:
            agent.asker = asker  # type: ignore[assignment]
            return agent

        return Ports(Workspace(root), Review(root), FakeEngine(), opened)

    @property
    def status(self) -> str:
        return self.screen.status_line.line(200, Palette.of(self.app)).plain

    async def choose(self, name: str, verb: str) -> None:
        await self.press("ctrl+right_square_bracket")
        # By the time it has the focus, its cursor is where it begins.
        await self.until(
            lambda: self.app.focused and self.app.focused.id == "listing-lines", "the list of agents"
        )
        lines = self.app.screen.query_one("#listing-lines")
        keys = [entry.key for entry in lines.entries]  # type: ignore[attr-defined]
        lines.move_to(keys.index(name))  # type: ignore[attr-defined]
        await self.press(verb)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "--quiet", "-b", "main")
    (root / "code.py").write_text("answer = 41\n")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "one")
    return root


async def test_an_agent_beside_works_asks_and_its_hunk_is_brought_over(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PermissionPrompt, "grace", 0.0)
    stage = Beside(root)
    async with stage.run():
        own = stage.screen
        await stage.press("ctrl+right_square_bracket")
        await stage.until(lambda: isinstance(stage.app.screen, NewAgent), "what it shall do")
        await stage.press(*"Mend it", "enter")
        await stage.until(lambda: stage.screen is not own and stage.beside, "the other workspace")
        (place, agent), beside = next(iter(stage.beside.items())), stage.screen
        await stage.until(lambda: agent.heard == ["Mend it"], "the task")
        assert place.name == "mend-it" and "mend-it" in str(beside.panes["tree"].border_title)
        await stage.choose("own", "enter")
        await stage.until(lambda: stage.screen is own, "back home")
        assert "1 beside you works" in stage.status
        agent.go_on.set()
        await stage.until(lambda: "1 beside you asks" in stage.status, "its question")
        assert (root / "code.py").read_text() == "answer = 41\n"
        await stage.choose("mend-it", "enter")
        await stage.until(
            lambda: stage.app.screen is beside and beside.agent.permission.is_asking, "its screen"
        )
        beside.agent.permission.focus()
        await stage.press("y")
        await stage.until(lambda: not beside.agent.is_working, "the end of its turn")
        await stage.choose("mend-it", "b")
        await stage.until(lambda: stage.screen is own and own.review.total == 1, "its hunk, at home")
        await stage.press("a")
        await stage.until(lambda: (root / "code.py").read_text() == "answer = 42\n", "the hunk brought over")
        await stage.press("u")
        await stage.until(lambda: (root / "code.py").read_text() == "answer = 41\n", "taken back")
        await stage.choose("mend-it", "d")
        await stage.until(lambda: isinstance(stage.app.screen, Confirm), "that a hunk would be lost")
        await stage.press("y")
        await stage.until(lambda: not Worktrees(root).listed(), "the worktree removed")
        await stage.until(
            lambda: agent.is_closed and own.review.desk.title == "the agent's changes", "all put away"
        )


async def test_without_a_repository_it_says_what_to_do(tmp_path: Path) -> None:
    stage = Beside(tmp_path)
    async with stage.run():
        await stage.press("ctrl+right_square_bracket")
        await stage.until(lambda: isinstance(stage.app.screen, NewAgent), "what it shall do")
        await stage.press("x", "enter")
        said = lambda: [note.message for note in stage.app._notifications]  # noqa: E731
        await stage.until(lambda: any("no git repository" in one for one in said()), "what is wrong")
        # What was written is not lost.
        await stage.until(lambda: isinstance(stage.app.screen, NewAgent), "what it shall do, again")
        assert stage.app.screen.query_one(LineInput).value == "x"
