"""The first frame: what the workspace looked like when it began the last time, at once, and keys with it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.first_frame.picture import read_picture
from tests.support.agent.scripted_server import ScriptedServer, reply
from tests.support.ui.terminal import Terminal

TIDEGATE = Path(sys.executable).with_name("tidegate")
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
SIZE = (100, 30)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (root := tmp_path / "project").mkdir()
    (root / "notes.txt").write_text("a\n")
    return root


def start(project: Path, server: ScriptedServer, *words: str) -> Terminal:
    command = [TIDEGATE, *words, "--model", server.url]
    return Terminal(command, project, columns=SIZE[0], rows=SIZE[1])


def test_the_next_start_begins_with_the_picture_and_loses_no_key(
    project: Path, scripted_server: Callable[..., ScriptedServer], home: Path
) -> None:
    server = scripted_server(reply("Understood."))
    with start(project, server) as terminal:
        terminal.wait_for(lambda _: any(home.rglob("*.picture")))
        assert terminal.leave() == 0
    picture = read_picture(project, SIZE)
    assert picture is not None and picture.field is not None

    with start(project, server) as terminal:
        terminal.wait_for("Ask, or say what to change")
        terminal.type("mend π").press("enter")
        terminal.wait_for("Understood.")
        assert terminal.leave() == 0
    assert server.requests[0]["messages"][-1]["content"].endswith("mend π")
    # The picture byte for byte, and one alternate screen until the end: the workspace draws over what is there.
    drawing = picture.drawing.replace("\n", "\r\n").encode()  # as the terminal makes it
    assert terminal.received.startswith(ENTER + b"\x1b[?25l" + drawing)
    assert terminal.received.count(ENTER) == terminal.received.count(LEAVE) == 1
    assert b"\x1b[2J" not in terminal.received and b"\x1b[J" not in terminal.received


def test_panes_of_another_width_are_not_what_the_next_start_shows(
    project: Path, scripted_server: Callable[..., ScriptedServer], home: Path
) -> None:
    with start(project, scripted_server()) as terminal:
        terminal.wait_for(lambda _: any(home.rglob("*.picture")))
        terminal.press("f2").press(">")
        terminal.wait_for(lambda _: any(home.rglob("panes.json")))
        assert terminal.leave() == 0
    assert not any(home.rglob("*.picture"))


def test_a_start_that_fails_leaves_the_terminal_as_it_was(
    project: Path, scripted_server: Callable[..., ScriptedServer], home: Path
) -> None:
    with start(project, scripted_server()) as terminal:
        terminal.wait_for(lambda _: any(home.rglob("*.picture")))
        terminal.press("ctrl+q")
        terminal.wait_closed()
    (home / "config").mkdir(exist_ok=True)
    (home / "config" / "keymap.toml").write_text("[keys\n")
    with start(project, scripted_server()) as terminal:
        terminal.type("x")
        assert terminal.wait_closed() == 2
    before, _, after = terminal.received.partition(LEAVE)
    assert before.count(ENTER) == 1 and b"is not TOML" not in before
    assert after.startswith(b"\x1b[?25h") and b"is not TOML" in after


def test_nothing_heavy_is_imported_before_the_picture_is_shown(project: Path) -> None:
    code = (
        "import sys, app.first_frame.held as held\n"
        "def show(picture): print(*sorted({n.split('.')[0] for n in sys.modules})); raise SystemExit\n"
        "import app.commands.workspace as workspace\n"
        "workspace.holding, workspace.has_terminal = show, lambda: True\n"
        "from app.cli import main; main(['--model', 'http://127.0.0.1:9/v1'])"
    )
    said = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=project,
        env=os.environ | {"COLUMNS": "100", "LINES": "30"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(said.stdout.split())
    assert "app" in loaded
    assert not loaded & {"textual", "rich", "asyncio", "httpx2", "pygments", "ssl", "subprocess", "git"}
