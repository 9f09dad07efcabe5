"""What the agent hears of its changes when it thinks that it is done."""

from collections.abc import Callable, Mapping
from typing import Any

from app.agent.events import Noticed, TurnEnded
from tests.support.agent.agent_bench import Bench, check_well_formed, end_of
from tests.support.agent.scripted_server import call, reply

EDIT = call("edit", file_path="src/a.py", old_string="return 1", new_string="return x")


async def test_it_hears_once_of_what_it_broke_and_may_mend_it(bench: Callable[..., Bench]) -> None:
    b = bench(
        reply(EDIT),
        reply("Done."),
        reply(call("edit", file_path="src/a.py", old_string="return x", new_string="return 2")),
        reply("Mended."),
        reply("Nothing to do."),
    )
    asked: list[Mapping[str, bytes | None]] = []

    async def check(before: Mapping[str, bytes | None]) -> str:
        asked.append(before)
        return "src/a.py:2: error: x is not defined"

    b.agent._check = check
    events: list[Any] = await b.run("Change it.")
    assert end_of(events) == TurnEnded(1, "done")
    # Once, though it changed the file again, and with what was there before the turn.
    assert asked == [{"src/a.py": b"def f():\r\n    return 1\r\n"}]
    assert any(isinstance(event, Noticed) and "x is not defined" in event.text for event in events)
    assert [message["content"] for message in b.sent if message["role"] == "user"][-1].startswith("src/a.py:2")
    assert (b.root / "src/a.py").read_bytes() == b"def f():\r\n    return 2\r\n"
    check_well_formed(b.sent)
    await b.run("And now?")  # a turn without changes asks nobody
    assert len(asked) == 1
