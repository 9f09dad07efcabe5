"""What the workspace shows of memory that is short: from the engine through the wire to the screen."""

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

from app.agent.events import AgentEvent, ReplyFinished, TextStreamed
from app.model.catalogue.catalogue import LocalModel
from app.model.engine.local import LocalEngine, Pace
from app.model.engine.process import EngineFiles
from app.model.events import Finished
from app.model.wire.chunks import ReplyReader
from app.ui.widgets.status_line import StatusLine
from mlx_model.decode.request import GenerationFinished
from mlx_model.memory.machine import Pressure
from mlx_model.memory.relief import Relief, Reserve
from mlx_model.server.wires.chat_reply import ChatWriter, ChunkOptions
from mlx_model.server.wires.wire import Ended
from tests.support.agent.scripted_server import ScriptedServer
from tests.support.ui.screen import ScriptedAgent, Stage

ALL_IN_MEMORY = GenerationFinished(0, 10, 100.0, 5, 50.0, reason="stop")


def over_the_wire(ended: GenerationFinished) -> Finished:
    reader = ReplyReader()
    reply = Ended({}, "stop", ended)
    writer = ChatWriter("model", ChunkOptions(usage=True))
    for event in (*writer.ended(0, reply), *list(writer.ending([reply]))[:-1]):
        reader.feed(json.dumps(event.data))
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


async def test_what_the_engine_gives_back_is_said_in_words(tmp_path: Path, home: Path) -> None:
    """A real report of what went, over the wire, in the status line and in the transcript."""
    model = home / "model"
    model.mkdir()
    levels, now = [Pressure.CRITICAL] * 3 + [Pressure.NORMAL], iter(range(0, 100, 2))
    reserves = [Reserve(name, lambda: 1_000_000) for name in ("free buffers", "snapshots", "experts")]
    relief = Relief(reserves, lambda: levels.pop(0), lambda: float(next(now)))
    place = EngineFiles.of(model)
    place.prepare()
    with ScriptedServer([], socket=place.socket, model="model") as server:

        def look() -> None:
            relief.look()
            server.health = (200, {"status": "ok", "memory": {**relief.report(), "expert_slots": 96}})

        look()
        engine = LocalEngine(LocalModel("model", model), idle_seconds=60, pace=Pace(ready=0.02))
        async with Stage(tmp_path).run() as stage:
            line = stage.screen.query_one(StatusLine)
            engine.subscribe(stage.engine.become)
            await engine.start()
            await stage.until(lambda: "memory is short" in str(line.render()))
            assert "gave some back" not in stage.transcript(), "nobody misses free buffers"
            look()
            await stage.until(lambda: "read from disk" in " ".join(stage.transcript().split()))
            assert "experts of each layer" not in stage.transcript()
            look()
            await stage.until(lambda: "96 experts of each layer" in " ".join(stage.transcript().split()))
            look()
            await stage.until(lambda: "memory is short" not in str(line.render()))
            assert stage.transcript().count("ran short") == 2, "each is said once"
            await engine.aclose()
