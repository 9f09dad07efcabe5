"""Nothing goes over the network: not by itself, and where the user rules it out not even when asked."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.agent.fake_hub import FakeHub
from tests.support.agent.scripted_server import ScriptedServer, reply
from tests.support.processes import pids_of
from tests.support.programs.sockets import Seccomp, socket_watch
from tests.support.review.real_project import git
from tests.support.ui.terminal import Terminal
from tests.support.weights.one_call import one_call_checkpoint

TIDEGATE = Path(sys.executable).with_name("tidegate")


@pytest.mark.parametrize("said_by", ["settings", "TIDEGATE_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_refuses_what_the_user_asks_for_with_one_sentence(
    said_by: str, tmp_path: Path, home: Path, scripted_server: Callable[..., ScriptedServer]
) -> None:
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hub")}
    if said_by == "settings":
        (home / "config").mkdir()
        (home / "config" / "settings.toml").write_text("offline = true\n")
    else:
        environment[said_by] = "1"
    server = scripted_server(reply("Hello"))
    with FakeHub("somebody/tiny", {"config.json": b"{}"}) as hub:
        environment["HF_ENDPOINT"] = hub.url
        fetch = ["model", "fetch", "somebody/tiny"]
        asked = [["run", "Hello", "--model", server.url], ["warm", "--model", server.url], fetch]
        # The Hub's own variable is about the Hub.
        for command in [fetch] if said_by == "HF_HUB_OFFLINE" else asked:
            ended = subprocess.run(
                [TIDEGATE, *command],
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ended.returncode == 2, ended.stderr
            (sentence,) = (line for line in ended.stderr.splitlines() if "offline" in line)
            assert (
                sentence.startswith("tidegate: ") and sentence.count("offline") + sentence.count("OFFLINE") > 1
            )
    assert not server.headers and not server.health_polls


@pytest.fixture
def checkpoint(tmp_path: Path) -> Iterator[Path]:
    """A model that calls for a command, again and again."""
    yield one_call_checkpoint(
        tmp_path / "caller",
        "run_shell_command",
        "command",
        "echo made > made.txt",
        max_position_embeddings=32768,
    )
    for pid in pids_of(tmp_path / "caller"):
        os.kill(pid, signal.SIGKILL)


def test_workspace_engine_and_tools_open_no_socket_but_unix_ones(
    tmp_path: Path, home: Path, checkpoint: Path
) -> None:
    """A whole turn on our own engine, with every process of it watched."""
    watch = socket_watch(tmp_path)
    if watch is None:
        pytest.skip("NOT PROVEN: neither strace nor a seccomp filter works here")
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "--quiet")
    (home / "config").mkdir()
    (home / "config" / "settings.toml").write_text('mode = "auto"\n')
    with Terminal(watch.command([TIDEGATE, project, "--model", checkpoint]), tmp_path) as terminal:
        terminal.wait_for("● caller")
        terminal.type("Make the file").press("enter")
        terminal.wait_for(lambda text: "same call" in text and "working" not in text)
        terminal.press("ctrl+q")
        for pid in pids_of(checkpoint):
            os.kill(pid, signal.SIGTERM)  # it would stay for the next window, and strace with it
        assert terminal.wait_closed() == 0
    assert (project / "made.txt").read_text() == "made\n"
    sockets = watch.found()
    assert "AF_UNIX" in {family for family, _program in sockets}
    # bubblewrap asks the kernel, by netlink, to switch on the loopback of the empty network that it makes.
    assert {(family, program) for family, program in sockets if family != "AF_UNIX"} <= {
        ("AF_NETLINK", "bwrap")
    }


@pytest.mark.skipif(sys.platform != "linux", reason="strace and seccomp are Linux's")
def test_the_watch_sees_a_socket_that_a_grandchild_asks_for(tmp_path: Path) -> None:
    asking = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
    command = ["sh", "-c", f'"{sys.executable}" -c "{asking}" && echo lived']
    watches = [watch for watch in (socket_watch(tmp_path), Seccomp()) if watch is not None]
    for watch in watches:
        ended = subprocess.run(watch.command(command), capture_output=True, text=True, check=False)
        if isinstance(watch, Seccomp):
            assert "lived" not in ended.stdout
        else:
            assert "AF_INET" in {family for family, _program in watch.found()}
