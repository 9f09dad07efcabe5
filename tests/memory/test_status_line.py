"""What the workspace shows of experts on disk: from the engine's writer through the wire to the screen."""

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

from app.agent.events import AgentEvent, ReplyFinished, TextStreamed
from app.model.chunks import ReplyReader
from app.model.events import Finished
from app.ui.widgets.status_line import StatusLine
from mlx_model.decode.request import GenerationFinished
from mlx_model.server.protocol import ReplyWriter
from tests.support.screen import ScriptedAgent, Stage

ALL_IN_MEMORY = GenerationFinished(0, 10, 100.0, 5, 50.0, reason="stop")


def over_the_wire(ended: GenerationFinished) -> Finished:
    reader = ReplyReader()
    for chunk in ReplyWriter("model").ending("stop", ended, include_usage=True):
        reader.feed(json.dumps(chunk))
    return reader.finish()


async def replies(_agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
    yield TextStreamed("Done.")
    some = replace(ALL_IN_MEMORY, experts_needed=200, experts_read=18, expert_bytes_read=900)
    yield ReplyFinished(over_the_wire(some))


async def test_the_hit_rate_stands_in_the_status_line(tmp_path: Path) -> None:
    assert over_the_wire(ALL_IN_MEMORY).timings is not None
    async with Stage(tmp_path, replies).run() as stage:
        line = stage.screen.query_one(StatusLine)
        assert "experts" not in str(line.render())
        await stage.say("Go")
        await stage.until(lambda: "91% experts in memory" in str(line.render()))


def test_nothing_is_said_of_experts_that_are_all_in_memory() -> None:
    timings = over_the_wire(ALL_IN_MEMORY).timings
    assert timings is not None and timings.expert_hit_rate is None
