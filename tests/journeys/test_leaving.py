"""Leaving in other ways than by the key: nothing goes on unseen, and the terminal is as it was."""

import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.patience import LONGEST
from tests.support.scripted_server import ScriptedServer, call, reply
from tests.support.terminal import Terminal

TIDEGATE = Path(sys.executable).with_name("tidegate")
LEAVES_ALTERNATE_SCREEN, MOUSE_OFF = b"\x1b[?1049l", b"\x1b[?1000l"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_agents_command_and_restores_the_terminal(
    number: signal.Signals,
    tmp_path: Path,
    scripted_server: Callable[..., ScriptedServer],
    home: Path,
) -> None:
    (root := tmp_path / "project").mkdir()
    os.mkfifo(root / "pipe")
    pipe = os.open(
        root / "pipe", os.O_RDONLY | os.O_NONBLOCK
    )  # ends when the last process that writes to it has
    command = "exec 3>pipe; echo started >&3; sleep 600"
    server = scripted_server(reply(call("run_shell_command", command=command)))
    (home / "config").mkdir()
    (home / "config" / "settings.toml").write_text('mode = "auto"\n')

    with Terminal([TIDEGATE, root, "--model", server.url], tmp_path) as terminal:
        terminal.wait_for("Ask, or say what to change")
        terminal.type("wait").press("enter")
        terminal.wait_for(lambda _: bool(select.select([pipe], [], [], 0)[0]))
        assert os.read(pipe, 100) == b"started\n"
        terminal.signal(number)
        assert terminal.wait_closed() == 128 + number
        tail = terminal.received[-2000:]

    select.select([pipe], [], [], LONGEST)
    assert os.read(pipe, 100) == b""
    os.close(pipe)
    assert LEAVES_ALTERNATE_SCREEN in tail
    assert MOUSE_OFF in tail
