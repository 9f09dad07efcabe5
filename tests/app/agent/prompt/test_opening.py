"""Warming: sessions begin from what was read before, as far as it still holds."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from app.agent.agent import Agent, open_agent
from app.agent.events import Noticed, PromptProgressed
from app.agent.prompt.opening import compose, read_record
from app.cli import main
from app.model.catalogue.catalogue import LocalModel
from app.model.engine.open import open_engine
from app.settings.mcp import McpServer
from app.settings.settings import Settings, load_settings, settings_file
from app.workspace.workspace import Workspace
from tests.support.agent.agent_bench import Asker, Recorder
from tests.support.agent.scripted_server import ScriptedServer
from tests.support.places import PROGRAMS
from tests.support.processes import pids_of
from tests.support.weights.servable import servable_checkpoint


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("app.agent.prompt.opening._MESSAGE_CHARACTERS", 400)
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "AGENTS.md").write_text("Use tabs.\n")
    (root / ".gitignore").write_text("built\n")
    (root / "built").write_text("never shown")
    (root / "image.png").write_bytes(b"\x89PNG\0")
    for number, name in enumerate(("old.py", "middle.py", "new.py")):
        file = root / "src" / name
        file.write_text(f"{name} = 1\n" * 60)
        os.utime(file, (number, number))
    return root


def test_what_changed_goes_last_and_the_head_stays(root: Path) -> None:
    workspace = Workspace(root)
    record, messages = compose(workspace, ["src"], "model", None)
    names = ["AGENTS.md", "src/old.py", "src/middle.py", "src/new.py", "the map"]
    assert [part.name for part in record.parts] == names
    assert "never shown" not in str(messages) and "built" not in messages[-2].content
    assert [message.role for message in messages] == ["user"] * 4 + ["assistant"]
    assert compose(workspace, ["src"], "model", record) == (record, messages)

    (root / "src" / "middle.py").write_text("changed\n")
    changed, then = compose(workspace, ["src"], "model", record)
    assert [part.name for part in changed.parts] == [*names[:2], "src/new.py", "src/middle.py", "the map"]
    assert then[:1] == messages[:1]
    # A new file changes the map alone, and what is no longer named is gone.
    (root / "src" / "another.py").write_text("x = 1\n")
    named, last = compose(workspace, ["src/old.py", "src/new.py"], "model", changed)
    assert last[:2] == then[:2]
    assert [part.name for part in named.parts] == [*names[:2], "src/new.py", "the map"]


@pytest.fixture
async def session(root: Path, tmp_path: Path) -> AsyncIterator[Callable[..., Agent]]:
    """Opens sessions, one after another."""
    checkpoint = servable_checkpoint(tmp_path / "tiny", max_position_embeddings=65536)
    left = []

    def open_session(*servers: McpServer) -> Agent:
        engine = open_engine(LocalModel("tiny", checkpoint), Settings(engine_idle_minutes=1))
        agent = open_agent(Workspace(root), engine, Recorder(root), Asker(), servers=servers)
        left.append((agent, engine))
        return agent

    yield open_session
    for agent, engine in left:
        await agent.aclose()
        await engine.aclose()
    for pid in pids_of(checkpoint):
        os.kill(pid, signal.SIGKILL)


async def begun(agent: Agent) -> tuple[str, int, int]:
    """The first turn up to its prompt's end: what was said to the user, tokens cached and in the prompt."""
    notice = ""
    async with aclosing(agent.run_turn("What is this?")) as events:
        async for event in events:
            if isinstance(event, Noticed):
                notice = event.text
            if isinstance(event, PromptProgressed):
                return notice, event.progress.cached, event.progress.total
    raise AssertionError("the prompt was not read")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the engine's process by /proc")
@pytest.mark.timeout(300)
async def test_a_session_begins_from_what_was_warmed_and_still_holds(
    root: Path,
    tmp_path: Path,
    session: Callable[[], Agent],
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def warm(*paths: str) -> str:
        arguments = ["warm", "-C", str(root), "--model", str(tmp_path / "tiny"), *paths]
        assert await asyncio.to_thread(main, arguments) == 0
        return capsys.readouterr().out

    said = await warm(str(root / "src"))
    assert "AGENTS.md, 3 files, the map" in said
    read = int(said.split(": ")[1].split(" ")[0].replace(",", ""))
    assert f"{read:,} of them new" in said

    for pid in pids_of(tmp_path / "tiny"):
        os.kill(pid, signal.SIGKILL)
    notice, cached, total = await begun(session())
    assert notice == "This session begins from what was warmed: AGENTS.md, 3 files, the map."
    # All of it but the opening of a reply that it ended with.
    assert read - 16 <= cached < total

    (root / "src" / "middle.py").write_text("changed\n")
    agent = session()
    notice, partly, _ = await begun(agent)
    assert "AGENTS.md, 1 file." in notice
    assert "src/middle.py changed since, so 3 of 5" in notice
    assert 0 < partly < cached
    assert "old.py" in str(agent.messages) and "middle.py = 1" not in str(agent.messages)

    said = await warm()
    new = int(said.split("tokens, ")[1].split(" ")[0].replace(",", ""))
    assert 0 < new < read - partly + 64
    notice, again, _ = await begun(session())
    assert "AGENTS.md, 3 files, the map." in notice and again > partly

    assert main(["warm", "-C", str(root), "--forget"]) == 0
    assert read_record(root) is None
    notice, plain, _ = await begun(session())
    assert not notice and plain < partly


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the engine's process by /proc")
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_what_is_warmed_stands_behind_the_tools_of_mcp_servers(
    root: Path, tmp_path: Path, session: Callable[..., Agent], capsys: pytest.CaptureFixture[str]
) -> None:
    script = PROGRAMS / "servers" / "mcp_server.py"
    settings_file().parent.mkdir(parents=True, exist_ok=True)
    settings_file().write_text(f"[mcp.ours]\ncommand = {sys.executable!r}\nargs = [{str(script)!r}]\n")
    arguments = ["warm", "-C", str(root), "--model", str(tmp_path / "tiny")]
    assert await asyncio.to_thread(main, arguments) == 0
    read = int(capsys.readouterr().out.split(": ")[1].split(" ")[0].replace(",", ""))
    notice, cached, _ = await begun(session(*load_settings().mcp))
    assert notice == "This session begins from what was warmed: AGENTS.md, the map."
    assert read - 16 <= cached
    _, without, _ = await begun(session())
    assert without < read // 2, "other tools are another prompt"


def test_what_cannot_be_warmed_is_one_sentence(
    root: Path,
    scripted_server: Callable[..., ScriptedServer],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(*arguments: str) -> str:
        assert main(["warm", "-C", str(root), *arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("tidegate: ") and error.count("\n") == 1
        return error

    assert "No model was found" in refused()
    assert "does not keep on disk" in refused("--model", scripted_server().url)
    for path, reason in (("nowhere", "does not exist"), ("/", "is outside")):
        assert reason in refused("--model", scripted_server().url, path)
    assert read_record(root) is None
