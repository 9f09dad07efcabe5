"""Stopped in every phase of a turn, and cut off from outside: a sentence each, nothing lost, and on it goes."""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent.agent_bench import check_well_formed
from tests.support.agent.scripted_server import Drop, Gate, Hang, Raw, ScriptedServer, call, reply
from tests.support.ui.terminal import Terminal

TIDEGATE = Path(sys.executable).with_name("tidegate")
READY = "Ask, or say what to change"
STOPPED = "Stopped; what was said and done is kept."
Servers = Callable[..., ScriptedServer]


def project(tmp_path: Path, home: Path, mode: str) -> Path:
    """A directory with a file in it, and settings that say how freely the agent works there."""
    (home / "config").mkdir()
    (home / "config" / "settings.toml").write_text(f'mode = "{mode}"\n')
    (root := tmp_path / "project").mkdir()
    (root / "a.txt").write_text("one\n")
    return root


def half_a_call() -> Raw:
    """The beginning of a call's arguments, as the server streams it."""
    function = {"name": "write_file", "arguments": '{"file_path": "new.txt", "content": "half'}
    delta = {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
    return Raw(b"data: " + json.dumps(chunk).encode() + b"\n\n")


def roles(server: ScriptedServer) -> list[str]:
    """Who said what in the last request."""
    messages: list[dict[str, Any]] = server.requests[-1]["messages"]
    check_well_formed(messages)
    return [message["role"] for message in messages]


def test_escape_in_every_phase(tmp_path: Path, scripted_server: Servers, home: Path) -> None:
    root = project(tmp_path, home, "ask")
    edit = call("edit", file_path="a.txt", old_string="one", new_string="two")
    silent, partway = Gate(), Gate()
    server = scripted_server(
        reply(silent, Hang()),
        reply("Half a sentence", Hang()),
        reply(half_a_call(), partway, Hang()),
        reply(edit),
        reply(call("run_shell_command", command="touch started; sleep 600", description="Wait")),
        reply("Whole again."),
        reply("On and on."),
    )
    with Terminal([TIDEGATE, root, "--model", server.url], root, columns=90, rows=40) as terminal:
        terminal.wait_for(READY)

        def stop_when(seen: Callable[[str], bool], times: int) -> None:
            terminal.wait_for(seen)
            terminal.press("escape").wait_for(lambda text: text.count(STOPPED) == times)
            terminal.wait_for(lambda text: "working" not in text)

        terminal.type("before the first word").press("enter")
        stop_when(lambda _: silent.reached.is_set(), 1)
        terminal.type("in its words").press("enter")
        stop_when(lambda text: "Half a sentence" in text, 2)
        terminal.type("in a call").press("enter")
        stop_when(lambda text: "characters" in text and partway.reached.is_set(), 3)
        terminal.type("at a question").press("enter")
        stop_when(lambda text: "asks you" in text, 4)
        assert (root / "a.txt").read_text() == "one\n" and not (root / "new.txt").exists()

        # A command that runs is ended, the agent's and the user's own.
        terminal.type("/mode auto").press("enter").wait_for("auto: it works by itself")
        terminal.type("in a command").press("enter").wait_for(lambda _: (root / "started").exists())
        terminal.press("escape").wait_for(lambda text: text.count(STOPPED) >= 4 and "working" not in text)
        terminal.type("!touch mine; sleep 600").press("enter")
        terminal.wait_for(lambda text: (root / "mine").exists() and "working" in text)
        terminal.press("escape").wait_for(lambda text: "working" not in text)

        # Ctrl+C is no way out, and says what is.
        terminal.press("ctrl+c").wait_for("Ctrl+Q quits")
        terminal.type("now whole").press("enter").wait_for("Whole again.")
        assert roles(server)[-1] == "user" and server.disconnects == 3
        told = str(server.requests[-1]["messages"])
        for word in (
            "before the first word",
            "Half a sentence",
            "at a question",
            "Cancelled by the user",
            "mine",
        ):
            assert word in told
        assert terminal.leave() == 0
    assert server.overruns == 0


def test_a_connection_cut_in_mid_sentence_goes_on_by_key(
    tmp_path: Path, scripted_server: Servers, home: Path
) -> None:
    root = project(tmp_path, home, "auto")
    server = scripted_server(
        reply("Half a sen", Drop()), reply("Half a sen", Drop()), reply("A whole sentence.")
    )
    with Terminal([TIDEGATE, root, "--model", server.url], root, columns=90, rows=40) as terminal:
        terminal.wait_for(READY)
        terminal.type("Say it").press("enter").wait_for("F10 goes on from here.")
        terminal.press("f10").wait_for(lambda text: "A whole sentence." in text and "working" not in text)
        assert roles(server)[-1] == "user" and "Say it" in str(server.requests[-1]["messages"])
        assert terminal.leave() == 0


@pytest.mark.slow  # a hundred requests
def test_what_comes_to_no_end_is_stopped_and_asks_whether_to_go_on(
    tmp_path: Path, scripted_server: Servers, home: Path
) -> None:
    root = project(tmp_path, home, "auto")
    look = reply(call("read_file", file_path="a.txt"))
    steps = [reply(call("glob", pattern=f"{number}*")) for number in range(100)]
    server = scripted_server(
        *[look] * 5,
        reply("Out of it."),
        reply("la " * 45_000, Hang()),
        reply("Short."),
        *steps,
        reply("There."),
    )
    with Terminal([TIDEGATE, root, "--model", server.url], root, columns=90, rows=40) as terminal:
        terminal.wait_for(READY)
        for said, told, then in (
            ("in circles", "made the same call 5 times with the same result", "Out of it."),
            ("endless words", "came to no end: it was stopped after 120,000 characters", "Short."),
            ("endless steps", "took 100 steps and was stopped", "There."),
        ):
            terminal.type(said).press("enter")
            # Lines are broken where they are full: the words are looked for without the breaks.
            terminal.wait_for(lambda text, told=told: told in " ".join(text.split()))
            terminal.wait_for("F10 goes on from here.")
            assert "working" not in terminal.text
            terminal.press("f10").wait_for(then)
            terminal.wait_for(lambda text: "working" not in text)
        assert any("this very call 3 times" in str(request["messages"]) for request in server.requests)
        assert terminal.leave() == 0
    assert server.overruns == 0


def test_a_window_without_room_and_one_that_is_closed(
    tmp_path: Path, scripted_server: Servers, home: Path
) -> None:
    root = project(tmp_path, home, "auto")
    gate, never = Gate(), Gate()
    server = scripted_server(reply("Begun, ", gate, "and ended."), reply("Half a sentence", never, Hang()))
    line = [TIDEGATE, root, "--model", server.url]
    with Terminal(line, root, columns=90, rows=40) as terminal:
        terminal.wait_for(READY)
        terminal.type("speak").press("enter").wait_for("Begun,")
        for columns, rows in ((1, 1), (3, 2), (300, 4), (2, 100), (1, 1)):
            before = len(terminal.received)
            terminal.resize(columns, rows).wait_for(lambda _, before=before: len(terminal.received) > before)
        gate.open()
        terminal.resize(90, 40).wait_for("and ended.")
        terminal.type("again").press("enter").wait_for("Half a sentence")
        terminal.signal(signal.SIGHUP)
        assert terminal.wait_closed() == 128 + signal.SIGHUP
        assert b"Traceback" not in terminal.received
    with Terminal([*line, "--continue"], root, columns=90, rows=40) as terminal:
        terminal.wait_for(lambda text: "and ended." in text and "Half a sentence" in text and STOPPED in text)
        assert terminal.leave() == 0


def test_where_nothing_can_be_kept_one_sentence_says_so(
    tmp_path: Path, scripted_server: Servers, home: Path
) -> None:
    (home / "file").write_text("")
    line = [TIDEGATE, tmp_path, "--model", scripted_server().url]
    for environment, says in (
        ({"TIDEGATE_HOME": str(home / "file" / "below")}, "cannot be read (Not a directory)"),
        ({"TERM": "dumb"}, "has no full screen"),
    ):
        with Terminal(line, tmp_path, environment=environment) as terminal:
            assert terminal.wait_closed() == 2
            said = " ".join(terminal.text.split())
            assert said.startswith("tidegate: ") and says in said and "Traceback" not in said
    (home / "data").mkdir()
    (home / "data" / "sessions").write_text("no folder")
    with Terminal(line, tmp_path, columns=90, rows=40, environment={"LC_ALL": "C"}) as terminal:
        terminal.wait_for("No session can be kept in")
        terminal.type("Hello").press("enter")
        assert terminal.leave() == 0
        assert b"Traceback" not in terminal.received
