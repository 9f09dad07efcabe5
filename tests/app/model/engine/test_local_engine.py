"""The engine process's life, with a scripted engine in its own process: started, shared, killed, replaced."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from app.model.catalogue.catalogue import LocalModel
from app.model.engine.local import LocalEngine, Pace
from app.model.engine.process import EngineFiles
from app.model.errors import EngineFailed, EngineLost
from app.model.events import EngineStatus, TextDelta
from app.model.messages import ChatRequest, Message
from app.model.wire.client import ChatClient
from tests.support.agent.scripted_server import until as until_true
from tests.support.patience import LONGEST
from tests.support.places import PROGRAMS

ASK = ChatRequest((Message("user", "hi"),))


def fake_command(model: Path, socket: Path, idle_seconds: float) -> list[str]:
    options = ["--model", str(model), "--socket", str(socket), "--idle-exit", str(idle_seconds)]
    return [sys.executable, str(PROGRAMS / "servers" / "fake_engine.py"), *options]


class Windows:
    """Engines as several windows would open them, on one model directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.engines: list[LocalEngine] = []

    def behave(self, **behaviour: object) -> None:
        (self.directory / "engine.json").write_text(json.dumps(behaviour))

    def open(self) -> LocalEngine:
        engine = LocalEngine(
            LocalModel("tiny", self.directory), idle_seconds=60, command=fake_command, pace=Pace(backoff=0.01)
        )
        self.engines.append(engine)
        return engine

    def started(self) -> list[int]:
        file = self.directory / "starts"
        return [int(line) for line in file.read_text().split()] if file.exists() else []


@pytest.fixture
async def windows(tmp_path: Path) -> AsyncIterator[Windows]:
    windows = Windows(tmp_path)
    yield windows
    for engine in windows.engines:
        await engine.aclose()
    for pid in windows.started():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def phases_of(engine: LocalEngine) -> list[EngineStatus]:
    seen: list[EngineStatus] = []
    engine.subscribe(seen.append)
    return seen


async def until(engine: LocalEngine, phase: str) -> EngineStatus:
    async with asyncio.timeout(LONGEST):
        return await engine._board.until(lambda status: status.phase == phase)


async def read(engine: LocalEngine, heard: Callable[[str], None] = lambda _: None) -> str:
    text = ""
    async for event in engine.stream(ASK):
        if isinstance(event, TextDelta):
            text += event.text
            heard(text)
    return text


async def test_loading_is_shown_and_a_request_waits_for_it(windows: Windows):
    windows.behave(loading=[0.0, 0.25, 0.75], replies=[["hello"]])
    engine = windows.open()
    seen = phases_of(engine)
    assert await read(engine) == "hello"
    loading = [status.progress for status in seen if status.phase == "loading"]
    assert loading == sorted(loading) and loading
    assert engine.status.phase == "ready" and engine.status.model is not None
    place = EngineFiles.of(windows.directory)
    assert place.socket.parent.stat().st_mode & 0o077 == 0
    assert len(os.fsencode(place.socket)) <= 103


async def test_windows_opened_together_share_one_engine(windows: Windows):
    windows.behave(loading=[0.5], replies=[["one"], ["two"], ["three"]])
    engines = [windows.open() for _ in range(3)]
    assert sorted(await asyncio.gather(*map(read, engines))) == ["one", "three", "two"]
    assert len(windows.started()) == 1
    await engines[0].aclose()  # it started the engine, and others go on using it
    assert engines[1].status.phase == "ready"
    os.kill(windows.started()[0], 0)


async def test_a_window_closed_during_the_start_leaves_no_second_engine(windows: Windows):
    first = windows.open()
    await first.start()
    await until_true(windows.started)
    await first.aclose()
    second = windows.open()
    await second.start()
    await until(second, "ready")
    assert len(windows.started()) == 1


async def test_killed_in_mid_reply_is_said_and_mended_for_every_window(windows: Windows):
    windows.behave(replies=[["before ", "<hang>"]])
    engine, other = windows.open(), windows.open()
    await engine.start()
    await until(engine, "ready")
    await other.start()
    await until(other, "ready")
    seen = phases_of(engine)

    def kill(text: str) -> None:
        if text == "before ":
            windows.behave(replies=[["again"], ["and again"]])
            os.kill(windows.started()[0], signal.SIGKILL)

    with pytest.raises(EngineLost, match="mid-reply"):
        await read(engine, kill)
    assert seen[0].phase == "restarting" and "SIGKILL" in seen[0].message
    assert await read(engine) == "again"
    assert await read(other) == "and again"
    assert len(windows.started()) == 2


async def test_an_engine_whose_socket_was_removed_is_told_of_and_nobody_waits_for_ever(windows: Windows):
    windows.behave(replies=[["hello"]])
    engine = windows.open()
    engine._pace = Pace(ready=0.01)
    await read(engine)
    EngineFiles.of(windows.directory).socket.unlink()
    # Connections that are open still lead to it.
    before, engine._client = engine._client, ChatClient(engine._client.address, is_ours=True)
    async with asyncio.timeout(LONGEST):
        with pytest.raises(EngineFailed, match="runs, but nothing answers"):
            await read(engine)
    await before.aclose()


async def test_dying_at_once_is_tried_a_few_times_and_then_told_with_its_last_words(windows: Windows):
    chatter = "2026-11-23 22:42:01,403 INFO Listening\n" * 3
    windows.behave(exit={"status": 1, "says": f"kaboom in the kernel\n{chatter}"})
    engine = windows.open()
    with pytest.raises(EngineFailed, match="kaboom in the kernel"):
        await read(engine)
    assert len(windows.started()) == 3
    windows.behave(replies=[["well again"]])
    await engine.restart()
    assert await read(engine) == "well again"


async def test_bad_input_is_told_in_the_engines_own_sentence_and_not_tried_again(windows: Windows):
    windows.behave(exit={"status": 2, "says": "model-00001.safetensors is truncated"})
    engine = windows.open()
    await engine.start()
    assert (await until(engine, "failed")).message == "model-00001.safetensors is truncated"
    assert len(windows.started()) == 1


async def test_an_idle_engine_that_ended_by_itself_is_simply_started_again(windows: Windows):
    windows.behave(replies=[["first"], ["never"]])
    engine = windows.open()
    assert await read(engine) == "first"
    for _ in range(4):  # more often than deaths are forgiven
        os.kill(windows.started()[-1], signal.SIGTERM)
        await until(engine, "restarting")
        await until(engine, "ready")
    assert len(windows.started()) == 5


async def test_a_home_too_deep_for_a_socket_is_refused(windows: Windows, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / ("x" * 100)))
    engine = windows.open()
    with pytest.raises(EngineFailed, match="TIDEGATE_HOME"):
        await read(engine)


async def test_a_home_named_relative_to_here_is_the_engines_too(windows: Windows, monkeypatch, home: Path):
    monkeypatch.chdir(home.parent)
    monkeypatch.setenv("TIDEGATE_HOME", home.name)
    engine = windows.open()
    await engine.start()
    await until(engine, "ready")


@pytest.mark.parametrize("name", ["socket", "lock", "log"])
async def test_what_stands_in_the_engines_way_is_named(windows: Windows, name: str):
    place = EngineFiles.of(windows.directory)
    place.prepare()
    in_the_way: Path = getattr(place, name)
    await asyncio.to_thread(in_the_way.mkdir)
    with pytest.raises(EngineFailed, match=f"{in_the_way.name}, which the engine needs, cannot be used"):
        async with asyncio.timeout(LONGEST):
            await read(windows.open())
