"""The same reply in the shapes of four servers, written after their sources: what differs is read alike.

vLLM: entrypoints/openai/chat_completion/serving.py (commit 006c49d4), tool_parsers/qwen3coder_tool_parser.py
(00d0a333). SGLang: entrypoints/openai/serving_chat.py (002897c2), sse_utils.py (06713058), usage_processor.py
(056c7ec2), function_call/qwen3_coder_detector.py (048a57e8). llama-server: tools/server/server-task.cpp and
common/chat.cpp of build 11434. mlx_lm.server: mlx_lm/server.py 0.32.2.
"""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from app.model.errors import ContextOverflow, ModelError
from app.model.events import Finished, PromptProgress, TextDelta, ThoughtDelta, ToolCallDelta
from app.model.wire.client import Patience
from tests.app.model.wire.test_client import ASK, client_of, events_of
from tests.support.agent.scripted_server import Gate, HttpError, Raw, Reply, reply

THOUGHT = ["Which ", "file?"]
TEXT = ["Let me ", "see."]
READ = {"file_path": "ä.py", "limit": 20}
GLOB = {"pattern": "*"}
Chunk = dict[str, Any]


def choice(delta: Chunk, reason: str | None = None, **more: Any) -> Chunk:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason, **more}]}


def call(index: int, fragment: str | None = None, **more: Any) -> Chunk:
    function = {**({"name": more.pop("name")} if "name" in more else {}), "arguments": fragment}
    return {"index": index, "function": function, **more}


def fragments(arguments: dict[str, Any]) -> list[str]:
    """One for the brace, one for each parameter, as the parsers of vLLM and SGLang make them: a value comes
    whole."""
    pairs = [
        f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items()
    ]
    return ["{", pairs[0], *(f", {pair}" for pair in pairs[1:]), "}"]


def vllm() -> Iterable[Chunk]:
    """Fields that were not set are left out; the thought is `reasoning`; the reason comes with text."""
    yield choice({"role": "assistant", "content": ""}, logprobs=None)
    yield from (choice({"reasoning": text}) for text in THOUGHT)
    yield from (choice({"content": text}) for text in TEXT)
    for index, (name, arguments) in enumerate((("read_file", READ), ("glob", GLOB))):
        opening = call(index, "", name=name, id=f"chatcmpl-tool-{index}", type="function")
        yield choice({"tool_calls": [opening]})
        yield from (choice({"tool_calls": [call(index, text)]}) for text in fragments(arguments))
    yield choice({"content": ""}, "tool_calls", stop_reason=None)
    details = {"completion_tokens_details": {"reasoning_tokens": 4}}  # with a --reasoning-parser
    usage = {"prompt_tokens": 100, "total_tokens": 160, "completion_tokens": 60, **details}
    yield {"choices": [], "usage": usage}


def sglang() -> Iterable[Chunk]:
    """Calls come with every other field as null; `reasoning_tokens` stands in `usage` itself; `cached_tokens`
    only with --enable-cache-report."""
    yield choice({"role": "assistant", "content": ""}, logprobs=None, matched_stop=None)
    yield from (choice({"reasoning_content": text}) for text in THOUGHT)
    yield from (choice({"content": text}) for text in TEXT)
    nothing = {"role": None, "content": None, "reasoning_content": None, "hidden_states": None}
    for index, (name, arguments) in enumerate((("read_file", READ), ("glob", GLOB))):
        opening = call(index, "", name=name, id=f"call_{index}", type="function")
        yield choice({**nothing, "tool_calls": [opening]}) | {"usage": None}
        for text in fragments(arguments):
            more = call(index, text, name=None, id=None, type="function")
            yield choice({**nothing, "tool_calls": [more]}) | {"usage": None}
    yield choice({}, "tool_calls", matched_stop=None)
    counts = {"prompt_tokens": 100, "total_tokens": 160, "completion_tokens": 60, "reasoning_tokens": 4}
    yield {"choices": [], "usage": {**counts, "prompt_tokens_details": {"cached_tokens": 40}}}


def llama_server() -> Iterable[Chunk]:
    """The first delta has null as content; the call's name comes with its first arguments."""
    progress = {"total": 100, "cache": 40, "processed": 70, "time_ms": 12.5}
    yield choice({"role": "assistant", "content": None}) | {"prompt_progress": progress}
    yield from (choice({"reasoning_content": text}) for text in THOUGHT)
    yield from (choice({"content": text}) for text in TEXT)
    for index, (name, arguments) in enumerate((("read_file", READ), ("glob", GLOB))):
        text = json.dumps(arguments, ensure_ascii=False)
        yield choice({"tool_calls": [call(index, text[:3], name=name, id=f"c{index}", type="function")]})
        yield from (choice({"tool_calls": [call(index, text[at : at + 4])]}) for at in range(3, len(text), 4))
    yield choice({}, "tool_calls")
    timings = {"cache_n": 40, "prompt_n": 60, "prompt_ms": 50.0, "predicted_n": 60, "predicted_ms": 600.0}
    usage = {"completion_tokens": 60, "prompt_tokens": 100, "total_tokens": 160}
    details = {"prompt_tokens_details": {"cached_tokens": 40}}
    yield {"choices": [], "usage": {**usage, **details}, "timings": timings}


def mlx_lm() -> Iterable[Chunk]:
    """Each delta names the role; a call comes whole."""
    yield from (choice({"role": "assistant", "reasoning": text}) for text in THOUGHT)
    yield from (choice({"role": "assistant", "content": text}) for text in TEXT)
    for index, (name, arguments) in enumerate((("read_file", READ), ("glob", GLOB))):
        text = json.dumps(arguments, ensure_ascii=False)
        whole = call(index, text, name=name, id=f"0000-{index}", type="function")
        yield choice({"role": "assistant", "tool_calls": [whole]})
    yield choice({"role": "assistant"}, "tool_calls")
    usage = {"prompt_tokens": 100, "completion_tokens": 60, "total_tokens": 160}
    yield {"choices": [], "usage": {**usage, "prompt_tokens_details": {"cached_tokens": 40}}}


def stream(chunks: Iterable[Chunk]) -> bytes:
    return b"".join(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks)


def said(*parts: bytes | Gate) -> Reply:
    return reply(*(Raw(part) if isinstance(part, bytes) else part for part in parts))


SERVERS = {
    # What each tells of the thought's tokens, and of those that were cached.
    "vLLM": (vllm, b"", 4, None),
    "SGLang": (sglang, b"", 4, 40),
    "llama-server": (llama_server, b"", None, 40),
    "mlx_lm.server": (mlx_lm, b": keepalive 60/100\n\n", None, 40),
}


@pytest.mark.parametrize("name", SERVERS)
async def test_the_same_reply_is_read_from_each_server(scripted_server, name: str) -> None:
    chunks, before, reasoning, cached = SERVERS[name]
    events = await events_of(client_of(scripted_server(said(before + stream(chunks()) + b"data: [DONE]\n\n"))))
    assert "".join(event.text for event in events if isinstance(event, ThoughtDelta)) == "".join(THOUGHT)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "".join(TEXT)
    deltas = [event for event in events if isinstance(event, ToolCallDelta)]
    assert [(delta.index, delta.name) for delta in deltas if delta.name] == [(0, "read_file"), (1, "glob")]
    for index, arguments in enumerate((READ, GLOB)):
        assert json.loads("".join(d.arguments for d in deltas if d.index == index)) == arguments
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.prompt_tokens, finished.completion_tokens) == ("tool_calls", 100, 60)
    assert (finished.reasoning_tokens, finished.cached_tokens) == (reasoning, cached)
    if name == "llama-server":
        assert finished.timings is not None and finished.timings.cache_n == 40
        assert PromptProgress(100, 40, 70, 12.5) in events


REFUSALS = {
    "vLLM": (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 4096 tokens. However, your request has 5000 "
                "input tokens. Please reduce the length of the input messages.",
                "type": "BadRequestError",
                "param": "input_tokens",
                "code": 400,
            }
        },
        4096,
    ),
    "SGLang": (
        400,
        {
            "object": "error",
            "message": "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        4096,
    ),
    "llama-server": (
        400,
        {
            "error": {
                "code": 400,
                "message": "request (5000 tokens) exceeds the available context size (4096 tokens), try "
                "increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 5000,
                "n_ctx": 4096,
            }
        },
        4096,
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_prompt_that_does_not_fit_is_told_with_the_length_that_does(scripted_server, name: str) -> None:
    status, body, length = REFUSALS[name]
    server = scripted_server(HttpError(status, body=json.dumps(body).encode(), content_type="application/json"))
    with pytest.raises(ContextOverflow) as refused:
        await events_of(client_of(server))
    assert refused.value.length == length


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "gone", "type": "InternalServerError", "param": None, "code": 500}},
        {"error": {"object": "error", "message": "gone", "type": "ABORT", "param": None, "code": 503}},
        {"error": {"code": 500, "message": "gone", "type": "server_error"}},
    ],
    ids=["vLLM", "SGLang", "llama-server"],
)
async def test_an_error_in_mid_stream_is_told(scripted_server, error: Chunk) -> None:
    begun = stream([choice({"role": "assistant", "content": "I w"}), error]) + b"data: [DONE]\n\n"
    with pytest.raises(ModelError, match="gone"):
        await events_of(client_of(scripted_server(said(begun))))


async def test_mlx_lm_refuses_with_a_bare_sentence(scripted_server) -> None:
    body = json.dumps({"error": "max_tokens must be a non-negative integer"}).encode()
    server = scripted_server(HttpError(400, body=body, content_type="application/json"))
    with pytest.raises(ModelError, match="max_tokens must be"):
        await events_of(client_of(server))


async def test_while_a_value_is_written_a_server_may_say_nothing(scripted_server) -> None:
    # vLLM and SGLang give a parameter's value in one piece, and a long file takes minutes to write.
    chunks = list(vllm())
    opened = next(at for at, chunk in enumerate(chunks) if "tool_calls" in chunk["choices"][0]["delta"]) + 1
    gate = Gate()
    server = scripted_server(said(stream(chunks[:opened]), gate, stream(chunks[opened:]) + b"data: [DONE]\n\n"))
    client = client_of(server, patience=Patience(silence=0.05))
    reading = asyncio.ensure_future(events_of(client, ASK))
    await gate.wait_reached()
    await asyncio.sleep(0.2)  # longer than silence is borne elsewhere
    assert not reading.done()
    gate.open()
    assert isinstance((await reading)[-1], Finished)
