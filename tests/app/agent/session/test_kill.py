"""SIGKILL in the middle of a turn: what was done and said is there when the session is opened again."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from app.agent.session.index import sessions
from app.agent.session.session import open_journal
from tests.support.agent.agent_bench import Bench, check_well_formed, end_of, ended, nap
from tests.support.agent.scripted_server import Gate, call, reply
from tests.support.places import ROOT

PROGRAM = """
import asyncio, sys
from pathlib import Path
from tests.support.agent.agent_bench import Bench
from tests.support.agent.scripted_server import ScriptedServer

async def main():
    server = ScriptedServer([], port=int(sys.argv[2]))
    bench = Bench(Path(sys.argv[1]), server, "auto", None)
    await bench.run("Do it.")

asyncio.run(main())
"""


@pytest.mark.parametrize("where", ["in a reply", "in a command"])
async def test_a_killed_session_goes_on(bench: Callable[..., Bench], where: str) -> None:
    gate, sleep = Gate(), nap()
    first = reply("First. ", call("write_file", file_path="one.txt", content="1\n"))
    if where == "in a reply":
        second = reply("Half a", gate, " word.")
    else:
        second = reply(call("run_shell_command", command=f"echo up > started; {sleep}"))
    b = bench(first, second, reply("Back."))
    line = [sys.executable, "-c", PROGRAM, str(b.root), str(b.server.port)]
    process = subprocess.Popen(line, cwd=ROOT)  # noqa: ASYNC220 - waits for nothing
    started = b.root / "started"
    try:
        while not gate.reached.is_set() and not (started.exists() and started.read_text()):
            assert process.poll() is None
            await asyncio.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        gate.open()
    await ended(sleep)
    assert (b.root / "one.txt").read_text() == "1\n"
    b.open(open_journal(b.root, next(sessions(b.root)).id))
    assert end_of(await b.run("Go on.")).reason == "done"
    check_well_formed(b.sent)
    assert b.sent[0]["content"].endswith("Do it.") and b.sent[-1]["content"].endswith("Go on.")
    told = b.results()
    assert told[0] == "Created one.txt (1 lines)."
    if where == "in a command":
        assert "may or may not have happened" in told[1]
    else:
        assert len(told) == 1
