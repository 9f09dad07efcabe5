"""Several clients of one engine with a model: each is answered as if it were alone."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx2

from mlx_model.chat.prompt import PromptEncoder
from mlx_model.chat.tools.grammar import ToolGrammar
from mlx_model.decode.generator import Generator
from mlx_model.decode.language_model import NothingKept
from mlx_model.server.http import create_app
from mlx_model.server.scheduler import Scheduler, ServedModel
from tests.support.patience import LONGEST
from tests.support.weights.models import load_tiny

TOOL = {
    "type": "function",
    "function": {
        "name": "read_file",
        "parameters": {
            "type": "object",
            "properties": {"file_path": {"type": "string"}},
            "required": ["file_path"],
        },
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"count": {"type": "integer"}, "words": {"type": "array", "items": {"type": "boolean"}}},
    "required": ["count", "words"],
    "additionalProperties": False,
}
ASKED: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": "word " * 60}], "temperature": 0, "max_tokens": 30},
    {
        "messages": [{"role": "user", "content": "Count."}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "it", "schema": SCHEMA}},
        "temperature": 0,
        "max_tokens": 24,
    },
    {
        "messages": [{"role": "user", "content": "Read main.py."}],
        "tools": [TOOL],
        "tool_choice": "required",
        "seed": 3,
        "max_tokens": 28,
    },
    {"messages": [{"role": "user", "content": "Hello"}], "seed": 5, "max_tokens": 12, "presence_penalty": 1},
]


async def test_grammars_tools_and_samples_of_several_clients_do_not_mix(checkpoint: Path) -> None:
    model, encoder = load_tiny(checkpoint), PromptEncoder.from_directory(checkpoint)
    generator: Generator[Any] = Generator(model, NothingKept(model), chunk=64, batching=model)
    grammar = ToolGrammar(encoder.tokenizer, model.vocabulary)
    served = ServedModel("model", generator, encoder, grammar=grammar)
    scheduler, ready = Scheduler(lambda _: served), threading.Event()
    scheduler.start(ready.set)
    assert await asyncio.to_thread(ready.wait, LONGEST)
    transport = httpx2.ASGITransport(create_app(scheduler))

    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=LONGEST) as client:

        async def answer(asked: dict[str, Any]) -> Any:
            body = {**asked, "logprobs": True, "top_logprobs": 2}
            response = await client.post("/v1/chat/completions", json=body)
            assert response.status_code == 200, response.text
            (choice,) = response.json()["choices"]
            return choice["logprobs"], choice["message"]["content"], choice["finish_reason"]

        together = await asyncio.gather(*(answer(asked) for asked in ASKED))
        for asked, found in zip(ASKED, together, strict=True):
            assert found == await answer(asked)
    scheduler.stop()
    scheduler.join(LONGEST)
