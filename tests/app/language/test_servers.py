"""Language servers: what they say, and that nobody waits for one that is missing, slow, loud or gone."""

import asyncio
import shlex
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from app.language.connection import ServerFailed
from app.language.report import new_problems_report
from app.language.servers import LanguageServers
from app.language.table import servers_of
from app.paths import config_directory
from app.settings.language import LanguageServerSetting
from app.workspace.workspace import Workspace
from tests.support.patience import LONGEST
from tests.support.places import ROOT

SERVER = ROOT / "tests" / "support" / "programs" / "servers" / "language_server.py"


def use(behaviour: str) -> None:
    """Let a server that behaves so be the one for files that end in .x."""
    command = ", ".join(f'"{word}"' for word in (sys.executable, str(SERVER), behaviour))
    path = config_directory() / "settings.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'[language_servers.judge]\ncommand = [{command}]\nsuffixes = [".x"]\n')


@pytest_asyncio.fixture
async def servers(tmp_path: Path) -> AsyncIterator[LanguageServers]:
    (tmp_path / "w").mkdir()
    made = LanguageServers(Workspace(tmp_path / "w"))
    yield made
    await made.aclose()


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("behaviour", ["well", "babbling"])
async def test_problems_come_and_go_with_the_text(servers: LanguageServers, behaviour: str) -> None:
    use(behaviour)
    await servers.look("a.x", "good\nbad one\n")
    await until(lambda: servers.problems)
    (problem,) = servers.problems_in("a.x")
    assert (problem.line, problem.severity, problem.message) == (2, "error", "bad one is bad")
    await servers.look("a.x", "good\n")
    await until(lambda: not servers.problems)


async def test_names_are_found_also_behind_wide_characters(servers: LanguageServers) -> None:
    use("well")
    text = "def grow\n\n'👩‍💻' + grow\n"
    column = text.split("\n")[2].index("grow")
    assert [spot.line for spot in await servers.definition("a.x", text, 2, column)] == [1]
    assert [spot.line for spot in await servers.references("a.x", text, 2, column)] == [1, 3]
    with pytest.raises(ServerFailed, match="no language server for"):
        await servers.definition("a.unheard", "", 0, 0)


async def test_one_that_crashes_is_started_again_and_then_left_alone(servers: LanguageServers) -> None:
    use("crashing")
    await servers.look("a.x", "good\n")
    for number in range(3):
        await servers.look("a.x", f"bad {number}\n")
        await until(lambda: servers.states["judge"].phase == "failed")
        await servers.look("a.x", "good\n")
    assert servers.states["judge"].phase == "failed" and not servers.problems
    assert await servers.judge("a.x", "bad\n", 5) == []


async def test_one_that_never_answers_is_not_waited_for(servers: LanguageServers) -> None:
    use("silent")
    looking = asyncio.create_task(servers.look("a.x", "bad\n"))
    await until(lambda: "judge" in servers.states)
    assert await servers.judge("a.x", "bad\n", 5) == []
    await servers.aclose()
    await asyncio.wait({looking})


async def test_the_agent_hears_of_what_its_changes_brought_and_of_nothing_else(
    servers: LanguageServers,
) -> None:
    use("well")
    root = servers._root
    (root / "a.x").write_text("one more line\nbad before\nbad now\n")
    await servers.look("a.x", "")
    before = {"a.x": b"bad before\n"}
    report = await new_problems_report(Workspace(root), servers, before)
    assert "a.x:3: error: bad now is bad (judge B1)" in report and "bad before" not in report
    assert await new_problems_report(Workspace(root), servers, {"a.x": (root / "a.x").read_bytes()}) == ""


def test_settings_come_before_the_table() -> None:
    settings = (
        LanguageServerSetting("ruff", ("my-ruff", "server")),
        LanguageServerSetting("clangd"),
        LanguageServerSetting("vala", ("vala-server",), (".vala",)),
    )
    table = {server.name: server for server in servers_of(settings)}
    assert table["ruff"].command == ("my-ruff", "server") and table["ruff"].language_of("A.PY") == "python"
    assert "clangd" not in table and table["vala"].language_of("a.vala") == "vala" and "gopls" in table


async def test_ruff_is_spoken_to(servers: LanguageServers, monkeypatch: pytest.MonkeyPatch) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    monkeypatch.setenv("PATH", f"{ruff.parent}:{shlex.quote('/usr/bin')}:/bin")
    assert shutil.which("ruff") == str(ruff)
    (servers._root / "a.py").write_text("import os\n")
    await servers.look("a.py", "import os\n")
    await until(lambda: servers.problems)
    assert servers.problems[0].code == "F401" and servers.problems[0].line == 1
