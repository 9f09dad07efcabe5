"""The application's side of the wire against the engine itself, on a small random checkpoint."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from app.model.catalogue.catalogue import choose_model
from app.model.engine.local import LocalEngine
from app.model.engine.open import open_engine
from app.model.errors import EngineLost
from app.model.events import EngineStatus, Finished, PromptProgress, ReplyProgress, TextDelta
from app.model.messages import ChatRequest, Message, ToolSpecification
from app.settings.settings import DraftMode, Settings
from tests.support.patience import LONGEST
from tests.support.processes import pids_of
from tests.support.weights.drafters import write_drafter
from tests.support.weights.servable import servable_checkpoint

ASK = ChatRequest(
    (Message("system", "You are a test."), Message("user", "Say something long.")),
    tools=(ToolSpecification("read_file", "Reads.", {"type": "object", "properties": {}}),),
    max_tokens=60,
    seed=1,
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return servable_checkpoint(tmp_path / "tiny", max_position_embeddings=16_384)


@pytest.fixture
async def engine(checkpoint: Path) -> AsyncIterator[LocalEngine]:
    engine = open_engine(choose_model(str(checkpoint)), Settings(engine_idle_minutes=1))
    assert isinstance(engine, LocalEngine)
    yield engine
    await engine.aclose()
    for pid in pids_of(checkpoint):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the engine's process by /proc")
async def test_replies_stream_and_a_killed_engine_comes_back(engine: LocalEngine, checkpoint: Path):
    seen: list[EngineStatus] = []
    engine.subscribe(seen.append)
    events = [event async for event in engine.stream(ASK)]
    assert engine.status.phase == "ready" and engine.status.model is not None
    assert engine.status.model.context_length == 16_384 and dict(engine.status.model.details)["drafter"]
    assert [event for event in events if isinstance(event, TextDelta)]
    assert [event for event in events if isinstance(event, PromptProgress)]
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.timings is not None and finished.prompt_tokens

    again = [event async for event in engine.stream(ASK)][-1]
    assert isinstance(again, Finished) and (again.cached_tokens or 0) > 0

    # The engine cannot be through with this one: it holds more than the socket and the client's buffers take,
    # and nobody reads while the kill is on its way.
    long = replace(ASK, max_tokens=16_000)
    (pid,) = pids_of(checkpoint)
    killed = False
    with pytest.raises(EngineLost, match="mid-reply"):
        async for event in engine.stream(long):
            if isinstance(event, TextDelta) and not killed:
                os.kill(pid, signal.SIGKILL)
                killed = True
    assert any(status.phase == "restarting" and "SIGKILL" in status.message for status in seen)
    assert isinstance([event async for event in engine.stream(ASK)][-1], Finished)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the engine's process by /proc")
async def test_windows_that_share_an_engine_draft_as_each_is_set(tmp_path: Path):
    checkpoint = servable_checkpoint(tmp_path / "headed", mtp=True)
    write_drafter(checkpoint / "dflash")
    drafted: dict[DraftMode, tuple[ReplyProgress, Finished]] = {}
    said: list[str] = []
    try:
        for draft in get_args(DraftMode):
            engine = open_engine(choose_model(str(checkpoint)), Settings(engine_idle_minutes=1, draft=draft))
            events = [event async for event in engine.stream(ASK)]
            assert len(pids_of(checkpoint)) == 1
            said.append("".join(event.text for event in events if isinstance(event, TextDelta)))
            *_, last = (event for event in events if isinstance(event, ReplyProgress))
            assert isinstance(events[-1], Finished)
            drafted[draft] = last, events[-1]
            await engine.aclose()
    finally:
        for pid in pids_of(checkpoint):
            os.kill(pid, signal.SIGKILL)
    assert len(said) == 5 and len(set(said)) == 1
    for draft, (progress, finished) in drafted.items():
        timings = finished.timings
        assert timings is not None and progress.timings.predicted_n <= timings.predicted_n
        allowed = {"auto": {"lookup", "mtp", "dflash"}, "none": set[str]()}.get(draft, {draft})
        assert set(timings.draft_sources) <= allowed and (timings.draft_n > 0) == bool(timings.draft_sources)
    for source in ("mtp", "dflash"):
        progress, finished = drafted[source]
        assert progress.timings.draft_sources == (source,)
        assert finished.timings is not None and finished.timings.draft_n > 0


@pytest.mark.parametrize(
    "damage",
    [
        "truncated",
        pytest.param("unknown", marks=pytest.mark.slow),  # imports mlx-lm to see whether that knows it
    ],
)
async def test_what_the_engine_cannot_run_is_its_own_sentence(
    engine: LocalEngine, checkpoint: Path, damage: str
):
    if damage == "truncated":
        weights = checkpoint / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1000])
    else:
        config = checkpoint / "config.json"
        config.write_text(config.read_text().replace('"qwen3_next"', '"abacus"'))
    await engine.start()
    async with asyncio.timeout(LONGEST):
        status = await engine._board.until(lambda status: status.phase in ("failed", "ready"))
    assert status.phase == "failed"
    expected = "model.safetensors" if damage == "truncated" else "abacus"
    assert expected in status.message and "\n" not in status.message and "Traceback" not in status.message
