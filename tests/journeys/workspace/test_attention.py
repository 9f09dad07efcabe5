"""What a terminal is sent when the agent asks or is done and nobody looks, and what is put back at the end."""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.ui.widgets.agent.permission_prompt import PermissionPrompt
from tests.support.agent.scripted_server import Gate, ScriptedServer, call, reply
from tests.support.ui.terminal import Terminal

TIDEGATE = Path(sys.executable).with_name("tidegate")
READY = "Ask, or say what to change"
BLUR, FOCUS = "\x1b[O", "\x1b[I"
SAID = b"\x1b]9;tidegate \xe2\x80\x93 sums: "
Servers = Callable[..., ScriptedServer]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "sums"
    root.mkdir()
    (root / "a.txt").write_text("one\n")
    return root


def test_who_looks_elsewhere_is_called_and_the_title_is_put_back(root: Path, scripted_server: Servers) -> None:
    gates = [Gate(), Gate()]
    server = scripted_server(
        reply("Seen.", gates[0]),
        reply("I ask", gates[1], call("write_file", file_path="b.txt", content="two\n")),
        reply("Written."),
    )
    environment = {"TERM_PROGRAM": "iTerm.app", "LC_TERMINAL": "", "TMUX": "", "VTE_VERSION": ""}
    command = [TIDEGATE, root, "--model", server.url]
    with Terminal(command, root, environment=environment) as terminal:
        terminal.wait_for(READY)
        assert b"\x1b[22;0t" in terminal.received and b"\x1b[?1004h" in terminal.received
        assert "\x1b]2;sums – tidegate\x1b\\".encode() in terminal.received
        # Who looks is not called.
        terminal.type("Look").press("enter").wait_for("Seen.")
        gates[0].open()
        terminal.wait_for(lambda text: "working" not in text and "tok" in text)
        assert not bells(terminal) and SAID not in terminal.received
        # Who does not is, once for the question and once for the end.
        terminal.type("Write").press("enter").wait_for("I ask")
        terminal.type(BLUR)
        gates[1].open()
        terminal.wait_for("The agent wants to create b.txt")
        terminal.wait_for(lambda _: SAID + b"The agent wants to create b.txt\x1b\\" in terminal.received)
        assert bells(terminal) == 1
        assert "\x1b]2;● sums – tidegate asks you\x1b\\".encode() in terminal.received
        terminal.type(FOCUS)
        answer = Patiently(terminal, "y")
        terminal.wait_for(lambda text: "Written." in text or answer.press())
        assert terminal.leave() == 0
        left = terminal.received[terminal.received.rindex("sums – tidegate".encode()) :]
        assert left.index(b"\x1b[23;0t") < left.index(b"\x1b[?1049l")
    assert (root / "b.txt").read_text() == "two\n"


def bells(terminal: Terminal) -> int:
    """How often it rang; the shape of the mouse's pointer is set by a sequence that ends with the same byte."""
    return re.sub(rb"\x1b\][^\x07\x1b]*\x07", b"", terminal.received).count(b"\x07")


class Patiently:
    """Presses a key again and again, with pauses: it counts only once nothing was typed for a while."""

    def __init__(self, terminal: Terminal, key: str) -> None:
        self._terminal = terminal
        self._key = key
        self._pressed = 0.0

    def press(self) -> bool:
        """Press it, if that is not too soon; False, for whoever waits for something else."""
        if time.monotonic() - self._pressed > 2 * PermissionPrompt.grace:
            self._terminal.press(self._key)
            self._pressed = time.monotonic()
        return False


@pytest.mark.parametrize("name", ["bell", "notifications", "terminal_title"])
def test_each_of_it_can_be_left_out(name: str, root: Path, home: Path, scripted_server: Servers) -> None:
    gate = Gate()
    server = scripted_server(reply("Seen.", gate, " Done."))
    (home / "config").mkdir()
    (home / "config" / "settings.toml").write_text(f"{name} = false\n")
    environment = {"TERM_PROGRAM": "iTerm.app", "TMUX": ""}
    with Terminal([TIDEGATE, root, "--model", server.url], root, environment=environment) as terminal:
        terminal.wait_for(READY)
        terminal.type("Look").press("enter").wait_for("Seen.")
        terminal.type(BLUR)
        gate.open()
        terminal.wait_for(lambda text: "Done." in text and "working" not in text and "tok" in text)
        terminal.type(FOCUS).press("ctrl+q")
        assert terminal.wait_closed() == 0
        sent = {
            "bell": bool(bells(terminal)),
            "notifications": SAID + b"The agent is done\x1b\\" in terminal.received,
            "terminal_title": b"\x1b]2;" in terminal.received or b"\x1b[22;0t" in terminal.received,
        }
    assert sent == {other: other != name for other in sent}
