"""Leaving in other ways than by the key: nothing goes on unseen, and the terminal is as it was."""

import os
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.agent.scripted_server import ScriptedServer, call, reply
from tests.support.patience import LONGEST
from tests.support.ui.terminal import Terminal

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


def test_it_ends_with_its_terminal_where_no_signal_comes(tmp_path: Path, home: Path) -> None:
    """As behind su, which gives what it starts a session of its own: the terminal's end is all that tells."""
    ours, its = os.openpty()
    termios.tcsetwinsize(its, (24, 80))
    environment = {**os.environ, "TERM": "xterm-256color", "TIDEGATE_HOME": str(home)}
    command = [TIDEGATE, tmp_path, "--model", "http://127.0.0.1:9/v1"]
    with subprocess.Popen(
        command, stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True
    ) as it:
        try:
            os.close(its)
            seen = b""
            while b"sk, or say" not in seen:  # the cursor stands on the first letter
                seen += os.read(ours, 65536)
            os.close(ours)
            assert it.wait(LONGEST) == 128 + signal.SIGHUP
        finally:
            it.kill()
