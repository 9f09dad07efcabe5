"""A server that thinks before it answers, in each way that servers have of saying so: the thought is a folded
row of the transcript, and neither answered with nor sent back."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.agent.scripted_server import Gate, Raw, Reply, ScriptedServer, call, reply
from tests.support.ui.terminal import Terminal

TIDEGATE = Path(sys.executable).with_name("tidegate")
SECRET = "HMM"


def apart(field: str) -> Raw:
    """The thought in a field of its own."""
    chunk = {"choices": [{"index": 0, "delta": {field: f"{SECRET}. Well."}}]}
    return Raw(f"data: {json.dumps(chunk)}\n\n".encode())


def test_a_thought_in_four_spellings(tmp_path: Path, scripted_server: Callable[..., ScriptedServer]) -> None:
    (tmp_path / "a.py").write_text("one = 1\n")
    gates = [Gate() for _ in range(4)]
    look = [call("read_file", file_path="a.py", limit=limit) for limit in (1, 2, 3)]
    replies: list[Reply] = [
        reply(apart("reasoning_content"), gates[0], "First. ", look[0], thought={"reasoning_tokens": 71}),
        reply(apart("reasoning"), gates[1], "Second. ", look[1]),
        reply(f"<think>{SECRET}. Well.", gates[2], "</think>\n\nThird. ", look[2]),
        # The template has written the opening tag already, and the limit comes before the end.
        reply(f"<think>\n{SECRET}. Well", gates[3], reason="length"),
        reply(f"{SECRET}. Well.\n</think>\n\n", "Fifth."),
    ]
    server = scripted_server(*replies)
    with Terminal([TIDEGATE, tmp_path, "--model", server.url], tmp_path, columns=120, rows=70) as terminal:
        terminal.wait_for("Ask, or say what to change")
        terminal.type("/effort low").press("enter").wait_for("effort low")
        terminal.type("Look at it").press("enter")
        for number, gate in enumerate(gates):
            terminal.wait_for(
                lambda text, number=number: "Thinking, " in text and text.count("Thought for") == number
            )
            assert SECRET not in terminal.text
            gate.open()
        terminal.wait_for("goes on from here")
        terminal.type("Go on").press("enter").wait_for("Fifth.")
        terminal.wait_for(lambda text: text.count("Thought for") == 5)
        shown = terminal.text
        assert SECRET not in shown and "think>" not in shown and "· 71 tokens" in shown
        assert all(word in shown for word in ("First.", "Second.", "Third."))
        terminal.wait_for(lambda text: "· working" not in text)
        assert terminal.leave() == 0
    assert len(server.requests) == 5 and SECRET not in json.dumps(server.requests)
    assert {request["reasoning_effort"] for request in server.requests} == {"low"}
