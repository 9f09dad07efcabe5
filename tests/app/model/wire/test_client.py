"""The client on real HTTP: what good servers say is understood, what bad ones do is one clear error."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model.errors import (
    EngineLost,
    GarbledReply,
    ModelError,
    ModelTimeout,
    RequestRefused,
    Unreachable,
)
from app.model.events import (
    Finished,
    PromptProgress,
    ReplyProgress,
    TextDelta,
    TokenChance,
    TokensChosen,
    ToolCallDelta,
    Warned,
)
from app.model.messages import ChatRequest, Message, SeenFile, ToolSpecification
from app.model.wire import sse
from app.model.wire.chunks import ReplyReader
from app.model.wire.client import Address, ChatClient, Patience, ReplyOptions
from app.model.wire.effort import NO_BUDGET
from app.model.wire.sse import EventDecoder
from tests.support.agent.scripted_server import (
    Call,
    Drop,
    Gate,
    Hang,
    HttpError,
    Progress,
    Raw,
    call,
    reply,
    until,
)

ASK = ChatRequest(
    (Message("user", "hi"),), tools=(ToolSpecification("read_file", "Reads.", {"type": "object"}),)
)


def client_of(server, **options) -> ChatClient:
    return ChatClient(Address(server.url, server.socket), **options)


async def events_of(client: ChatClient, request: ChatRequest = ASK):
    try:
        return [event async for event in client.stream(request)]
    finally:
        await client.aclose()


def text_of(events) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_text_calls_progress_usage_and_timings_over_a_unix_socket(scripted_server, home: Path):
    server = scripted_server(
        reply(
            Progress(100, 40, 60),
            "I will “look”\u2028 twice.",
            call("read_file", file_path="ä.py"),
            call("glob"),
        ),
        socket=home / "s",
    )
    events = await events_of(client_of(server, is_ours=True, model="m"))
    assert events[0] == PromptProgress(100, 40, 60, 1.0)
    assert text_of(events) == "I will “look”\u2028 twice."
    deltas = [event for event in events if isinstance(event, ToolCallDelta)]
    assert [(delta.index, delta.name) for delta in deltas if delta.name] == [(0, "read_file"), (1, "glob")]
    assert "".join(delta.arguments for delta in deltas if delta.index == 0) == json.dumps({"file_path": "ä.py"})
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.reason == "tool_calls"
    assert finished.prompt_tokens and finished.timings and finished.timings.predicted_per_second == 50.0
    sent = server.requests[0]
    assert sent["return_progress"] is sent["timings_per_token"] is True and sent["model"] == "m"
    assert "draft" not in sent
    assert sent["tools"][0]["function"]["name"] == "read_file"


async def test_only_an_engine_of_ours_is_told_how_to_draft_and_by_which_adapter(scripted_server):
    wanted = {"draft": "none", "adapter": "mine"}
    for is_ours in (True, False):
        server = scripted_server(reply("Hello"))
        await events_of(client_of(server, is_ours=is_ours, options=ReplyOptions(**wanted)))
        sent = {name: server.requests[0][name] for name in wanted if name in server.requests[0]}
        assert sent == (wanted if is_ours else {})


async def test_only_an_engine_of_ours_is_asked_how_sure_it_is(scripted_server):
    for options, told in (({"is_ours": True}, True), ({}, None)):
        server = scripted_server(reply("Hello"))
        await events_of(client_of(server, **options), replace(ASK, wants_chances=True))
        assert server.requests[0].get("return_doubt") == told


def test_how_sure_the_model_was_is_read():
    chunk = {"choices": [{"delta": {"content": "Hi"}, "doubt": [["H", 0.5, -0.25], ["i", 1, 1]]}]}
    events = ReplyReader().feed(json.dumps(chunk))
    assert TokensChosen((TokenChance("H", 0.5, -0.25), TokenChance("i", 1.0, 1.0))) in events


OFF, ON = {"enable_thinking": False}, {"enable_thinking": True, "reasoning_effort": "low"}
BUDGET = {"effort": "low", "budget": 500}


@pytest.mark.parametrize(
    ("owner", "options", "asked", "told"),
    [
        ("tidegate", {}, {}, {}),
        ("tidegate", {}, {"thinks": False}, {"reasoning_effort": "none"}),
        ("tidegate", {"effort": "off", "budget": 500}, {}, {"reasoning_effort": "none"}),
        ("tidegate", BUDGET, {}, {"reasoning_effort": "low", "thinking_token_budget": 500}),
        ("tidegate", BUDGET, {"effort": "default"}, {"thinking_token_budget": 500}),
        ("tests", {}, {"thinks": False}, {}),
        ("tests", {"effort": "off"}, {}, {"chat_template_kwargs": OFF}),
        ("tests", {"effort": "off"}, {"effort": "high"}, {"reasoning_effort": "high"}),
        ("tests", BUDGET, {}, {"reasoning_effort": "low"}),
        (
            "vllm",
            BUDGET,
            {},
            {"reasoning_effort": "low", "chat_template_kwargs": ON, "thinking_token_budget": 500},
        ),
        ("llamacpp", {"budget": 500}, {}, {"thinking_budget_tokens": 500}),
        ("sglang", {"effort": "low"}, {}, {"reasoning_effort": "low", "chat_template_kwargs": ON}),
    ],
)
async def test_how_much_to_think_is_said_as_each_server_takes_it(scripted_server, owner, options, asked, told):
    server = scripted_server(reply("Hello"))
    server.owner = owner
    client = client_of(server, options=ReplyOptions(**options))
    await client.models()
    events = await events_of(client, replace(ASK, **asked))
    fields = ("reasoning_effort", "chat_template_kwargs", "thinking_token_budget", "thinking_budget_tokens")
    sent = server.requests[0]
    assert {name: sent[name] for name in fields if name in sent} == told
    lacks = owner in ("tests", "sglang") and "budget" in options
    assert [event for event in events if isinstance(event, Warned)] == [Warned(NO_BUDGET)] * lacks


@pytest.mark.parametrize("options", [{}, {"is_ours": True, "options": ReplyOptions(exact_edits=False)}])
async def test_only_an_engine_of_ours_that_holds_edits_is_told_of_files(scripted_server, options):
    server = scripted_server(reply("Hello"))
    asked = replace(ASK, files=lambda: pytest.fail("nobody needs them"))
    await events_of(client_of(server, **options), asked)
    assert "files" not in server.requests[0]


async def test_of_files_an_engine_of_ours_is_sent_the_texts_that_it_has_not(scripted_server):
    one, other = SeenFile(("a.py", "/w/a.py"), "é\n"), SeenFile(("b.py",), "b")
    wants = HttpError(409, body=json.dumps({"error": {}, "missing": [other.sha256]}).encode())
    server = scripted_server(wants, reply("Hello"), wants, wants)
    client = client_of(server, is_ours=True)
    events = [event async for event in client.stream(replace(ASK, files=lambda: (one, other)))]
    assert text_of(events) == "Hello"
    first, second = (request["files"] for request in server.requests)
    assert first == [
        {"paths": ["a.py", "/w/a.py"], "sha256": hashlib.sha256("é\n".encode()).hexdigest()},
        {"paths": ["b.py"], "sha256": other.sha256},
    ]
    assert second == [first[0], first[1] | {"text": "b"}]
    # One that goes on asking for what it was sent is not served for ever.
    with pytest.raises(RequestRefused):
        await events_of(client, replace(ASK, files=lambda: (one, other)))
    assert len(server.requests) == 4


def test_figures_of_a_reply_under_way_are_read_leniently():
    reader = ReplyReader()
    said = {"choices": [{"index": 0, "delta": {"content": "a"}}]}
    timings = {"predicted_n": 12, "predicted_per_second": 40.0, "draft_n": 20, "draft_n_accepted": 8}
    sources = {"lookup": {}, "mtp": {}}
    text, progress = reader.feed(json.dumps(said | {"timings": timings | {"draft_sources": sources}}))
    assert text == TextDelta("a") and isinstance(progress, ReplyProgress)
    assert progress.timings.accepted_per_step == 2 and progress.timings.draft_sources == ("lookup", "mtp")
    # llama.cpp counts drafts and does not say whose they are; others count nothing.
    for wire, per_step in (
        (timings, 2),
        ({"predicted_n": 3}, None),
        ({"draft_n": 1, "draft_sources": 3}, None),
    ):
        *_, progress = reader.feed(json.dumps(said | {"timings": wire}))
        assert progress.timings.accepted_per_step == per_step and progress.timings.draft_sources == ()


async def test_leaving_the_stream_cancels_the_reply_on_the_server(scripted_server):
    server = scripted_server(reply("before", Gate(), "after"))
    client = client_of(server)
    stream = client.stream(ASK)
    assert await anext(stream) == TextDelta("before")
    await stream.aclose()
    await server.wait_for(lambda s: s.disconnects == 1)
    await client.aclose()


@pytest.mark.parametrize(
    ("step", "error", "says"),
    [
        (reply("half", Drop()), EngineLost, "mid-reply"),
        (reply(Drop()), EngineLost, "mid-reply"),
        (reply(Raw(b"data: {oops\n\n")), GarbledReply, "not JSON"),
        (reply(Raw(b"data: 17\n\n")), GarbledReply, "not Chat Completions"),
        (reply(Raw(b'data: {"choices": [{"delta": {"tool_calls": 3}}]}\n\n')), GarbledReply, "not Chat"),
        (reply(Raw(b"data: \xff\n\n")), GarbledReply, "UTF-8"),
        (reply(Raw(b"data: [DONE]\n\n")), GarbledReply, "without saying anything"),
        (reply(Raw(b'data: {"error": {"code": 400, "message": "too long"}}\n\n')), RequestRefused, "too long"),
        (reply(Call("", "{}")), GarbledReply, "without a name"),
        (reply(Hang()), ModelTimeout, "said nothing"),
        (reply("half", Hang()), ModelTimeout, "said nothing"),
        (HttpError(400, "the prompt has too many tokens"), RequestRefused, "too many tokens"),
        (HttpError(404, body=b"<html>no</html>"), RequestRefused, "/v1"),
        (HttpError(401, "who are you"), RequestRefused, "demands an API key"),
        (HttpError(308, ""), RequestRefused, "sends on to another address"),
        (HttpError(500, "kaboom"), ModelError, "kaboom"),
        (HttpError(200, body=b"<html>hello</html>"), GarbledReply, "without saying anything"),
    ],
)
async def test_misbehaviour_is_one_clear_error(scripted_server, step, error, says):
    server = scripted_server(step)
    client = client_of(
        server, patience=Patience(first_word=0.4, silence=0.4) if error is ModelTimeout else None
    )
    with pytest.raises(error, match=says) as raised:
        await events_of(client)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("refusals", "requests"),
    [
        ([HttpError(429), HttpError(503, retry_after="0")], 3),
        ([HttpError(429), HttpError(502), HttpError(504, "too busy")], 3),
        ([HttpError(429, "too busy", retry_after="3600")], 1),
    ],
    ids=["free at last", "busy for good", "busy for an hour"],
)
async def test_a_busy_server_is_asked_again(scripted_server, refusals, requests):
    server = scripted_server(*refusals, reply("at last"))
    reading = events_of(client_of(server, patience=Patience(busy=(0.0, 0.01))))
    if "too busy" in refusals[-1].message:
        with pytest.raises(ModelError, match="too busy"):
            await reading
    else:
        assert text_of(await reading) == "at last"
    assert len(server.requests) == requests


class Counting(ChatClient):
    """A client that counts what it receives."""

    received = 0

    async def _pieces(self, *arguments: Any) -> AsyncGenerator[bytes]:
        async for piece in super()._pieces(*arguments):
            self.received += 1
            yield piece


async def test_keep_alive_comments_are_signs_of_life(scripted_server, monkeypatch):
    gates = [Gate(), Gate(), Gate()]
    server = scripted_server(
        reply(gates[0], Raw(b": still reading\n\n"), gates[1], Raw(b": still\n\n"), gates[2], "done")
    )
    client = Counting(Address(server.url), patience=Patience(first_word=1000.0, silence=1000.0))
    loop, skipped = asyncio.get_running_loop(), 0.0
    clock = loop.time
    monkeypatch.setattr(loop, "time", lambda: clock() + skipped)
    seen: list[str] = []

    async def read():
        seen.append(text_of(await events_of(client)))

    reading = asyncio.create_task(read())
    for number, gate in enumerate(gates):
        await gate.wait_reached()
        await until(lambda: client.received >= number)  # noqa: B023 - waited for within the turn
        skipped += 600.0  # each wait is shorter than the client's patience, all together are longer
        gate.open()
    await reading
    assert seen == ["done"]


async def test_nobody_there_and_not_http(home: Path):
    client = ChatClient(Address("http://127.0.0.1:9/v1"))
    with pytest.raises(Unreachable, match="no server answers"):
        await client.health()
    await client.aclose()
    client = ChatClient(Address("http://tidegate/v1", home / "nothing"))
    with pytest.raises(Unreachable):
        await events_of(client)


async def test_models_describe_themselves_and_progress_is_only_asked_of_servers_that_know_it(scripted_server):
    server = scripted_server(reply("a"), reply("b"), api_key="secret")
    client = client_of(server, api_key="secret")
    (model,) = await client.models()
    assert (model.id, model.context_length) == ("scripted", 32768)
    assert text_of(await events_of(client)) == "a"
    assert "return_progress" not in server.requests[0]
    stranger = client_of(server)
    with pytest.raises(RequestRefused, match="TIDEGATE_API_KEY"):
        await stranger.models()
    await stranger.aclose()


CHUNKS = [
    {"choices": [{"delta": {"role": "assistant", "content": None}}]},
    {"choices": [{"delta": {"reasoning_content": "hm", "content": "a\u2028b\r\n"}}], "usage": None},
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
    {"choices": [{"delta": {}, "finish_reason": "stop"}]},
]


@given(st.lists(st.integers(0, 600), max_size=12), st.sampled_from(["\n", "\r\n", "\r"]))
def test_events_do_not_depend_on_how_the_bytes_are_cut(cuts, line_end):
    lines = [": hello"]
    for chunk in CHUNKS:
        lines += ["id: 7", "data: " + json.dumps(chunk, ensure_ascii=False), ""]
    data = (line_end.join([*lines, ": bye", ""])).encode()
    decoder = EventDecoder()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    received = [event for start, end in pairwise(edges) for event in decoder.feed(data[start:end])]
    assert [json.loads(event) for event in received] == CHUNKS
    reader = ReplyReader()
    assert text_of([event for one in received for event in reader.feed(one)]) == "a\u2028b\r\n"
    assert reader.finish() == Finished("stop", 3, 4, None, None)


@pytest.mark.parametrize(
    "fragments",
    [
        # no index, ids tell the calls apart
        [{"id": "x", "function": {"name": "f", "arguments": "{"}}, {"function": {"arguments": "}"}},
         {"id": "y", "function": {"name": "g", "arguments": "{}"}}],
        # every call at index 0
        [{"index": 0, "id": "x", "function": {"name": "f", "arguments": "{}"}},
         {"index": 0, "id": "y", "function": {"name": "g", "arguments": "{}"}}],
        # name and id repeated with every fragment
        [{"index": 0, "id": "x", "function": {"name": "f", "arguments": "{"}},
         {"index": 0, "id": "x", "function": {"name": "f", "arguments": "}"}},
         {"index": 1, "id": "y", "function": {"name": "g", "arguments": "{}"}}],
        # no ids, arguments before the name, arguments as an object
        [{"index": 0, "function": {"arguments": "{"}}, {"index": 0, "function": {"name": "f"}},
         {"index": 0, "function": {"arguments": "}"}},
         {"index": 1, "function": {"name": "g", "arguments": {}}}],
        # whole calls without index or id
        [{"function": {"name": "f", "arguments": "{}"}}, {"function": {"name": "g", "arguments": "{}"}}],
    ],
)  # fmt: skip
def test_tool_calls_in_every_dialect(fragments):
    reader = ReplyReader()
    deltas: list[ToolCallDelta] = []
    for fragment in fragments:
        deltas += reader.feed(json.dumps({"choices": [{"delta": {"tool_calls": [fragment]}}]}))
    calls: dict[int, list[str]] = {}
    for delta in deltas:
        if delta.name:
            assert delta.id and delta.index not in calls
            calls[delta.index] = [delta.name, ""]
        calls[delta.index][1] += delta.arguments
    assert calls == {0: ["f", "{}"], 1: ["g", "{}"]}
    assert reader.finish().reason == "tool_calls"


def test_one_id_for_several_calls_becomes_one_for_each():
    reader = ReplyReader()
    deltas = []
    for index in (0, 1):
        for part in ({"name": "f", "arguments": "{"}, {"arguments": "}"}):
            call = {"index": index, "id": "same", "function": part}
            deltas += reader.feed(json.dumps({"choices": [{"delta": {"tool_calls": [call]}}]}))
    assert [(delta.index, delta.arguments) for delta in deltas] == [(0, "{"), (0, "}"), (1, "{"), (1, "}")]
    assert len({delta.id for delta in deltas if delta.id}) == 2


@given(st.text(st.characters(), max_size=8), st.integers(0, 16))
def test_characters_cut_between_chunks_arrive_whole(text, cut):
    units = text.encode("utf-16-le", "surrogatepass")
    reader = ReplyReader()
    said, written = "", ""
    for half in (units[: 2 * cut], units[2 * cut :], None):
        piece = (half or b"").decode("utf-16-le", "surrogatepass")
        delta = {"content": piece, "tool_calls": [{"index": 0, "function": {"name": "f", "arguments": piece}}]}
        choice = {"delta": delta, "finish_reason": "stop" if half is None else None}
        for event in reader.feed(json.dumps({"choices": [choice]})):
            if isinstance(event, ToolCallDelta):
                written += event.arguments
            else:
                said += event.text
    assert said == written == units.decode("utf-16-le", "replace")


def test_a_long_line_is_looked_through_once(monkeypatch):
    looked = 0

    class Counting:
        def finditer(self, data, start):
            nonlocal looked
            looked += len(data) - start
            return ends.finditer(data, start)

    ends = sse._LINE_END
    monkeypatch.setattr(sse, "_LINE_END", Counting())
    decoder = EventDecoder()
    pieces = [b"data: ", *[b"x" * 1000] * 300, b"\r", b"\n\n"]
    assert [event for piece in pieces for event in decoder.feed(piece)] == ["x" * 300_000]
    assert looked < 2 * 300_000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_a_chunk_of_any_shape_is_understood_or_called_garbled(data):
    value = data.draw(json_values)
    path = data.draw(
        st.sampled_from(
            [
                [],
                ["choices"],
                ["choices", 0],
                ["choices", 0, "delta"],
                ["choices", 0, "delta", "content"],
                ["choices", 0, "delta", "tool_calls"],
                ["choices", 0, "delta", "tool_calls", 0],
                ["choices", 0, "delta", "tool_calls", 0, "index"],
                ["choices", 0, "delta", "tool_calls", 0, "id"],
                ["choices", 0, "delta", "tool_calls", 0, "function"],
                ["choices", 0, "finish_reason"],
                ["prompt_progress"],
                ["prompt_progress", "total"],
                ["timings", "predicted_n"],
                ["usage", "prompt_tokens_details"],
                ["error"],
            ]
        )
    )
    for step in reversed(path):
        value = [value] if isinstance(step, int) else {step: value}
    reader = ReplyReader()
    try:
        reader.feed(json.dumps(value))
        reader.finish()
    except ModelError as error:
        assert "\n" not in str(error)


async def test_what_is_no_text_does_not_stop_the_conversation(scripted_server):
    server = scripted_server(reply("fine"))
    client = client_of(server)
    events = [event async for event in client.stream(ChatRequest((Message("user", "a\udcffb \u2028"),)))]
    await client.aclose()
    assert text_of(events) == "fine"
    assert server.requests[0]["messages"][0]["content"] == "a?b \u2028"


async def test_a_whole_answer_from_a_server_that_does_not_stream(scripted_server):
    message = {
        "role": "assistant",
        "content": "whole",
        "tool_calls": [{"id": "x", "function": {"name": "f", "arguments": "{}"}}],
    }
    body = json.dumps(
        {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": {"prompt_tokens": 1}}
    )

    server = scripted_server(HttpError(200, body=body.encode(), content_type="application/json"))
    events = await events_of(client_of(server))
    assert text_of(events) == "whole" and events[-1].prompt_tokens == 1
