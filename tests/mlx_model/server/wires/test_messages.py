"""Anthropic Messages, with Anthropic's own client."""

import json
from typing import Any

import anthropic
import httpx2
import pytest

from tests.mlx_model.server.wires.conftest import ARGUMENTS, CALL, SCHEMA, Talker
from tests.support.patience import LONGEST

HI: Any = [{"role": "user", "content": "hi"}]
TOOL: Any = {"name": "read_file", "description": "Reads.", "input_schema": SCHEMA}
ASK: Any = {"model": "any", "max_tokens": 400, "messages": HI}


def client(talker: Talker) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=talker.engine.url, api_key="sesame", max_retries=0, timeout=LONGEST)


def test_text_whole_and_streamed(talker: Talker) -> None:
    talker.says("Hello there", "Hello there")
    whole = client(talker).messages.create(**ASK, system="S")
    (block,) = whole.content
    assert block.type == "text" and block.text == "Hello there"
    assert (whole.stop_reason, whole.role, whole.model) == ("end_turn", "assistant", "scripted")
    length = len(talker.asked().prompt)
    assert whole.usage.input_tokens == length - 3 and whole.usage.cache_read_input_tokens == 3
    with client(talker).messages.stream(**ASK, system=[{"type": "text", "text": "S"}]) as stream:
        assert "".join(stream.text_stream) == "Hello there"
        final = stream.get_final_message()
    assert (final.content[0].to_dict(), final.stop_reason) == (block.to_dict(), "end_turn")
    assert final.usage == whole.usage
    assert talker.prompt(-1) == talker.prompt(-2) and talker.prompt().startswith("<|im_start|>system\nS")


def test_a_tool_is_called_and_its_result_goes_on_from_the_cached_tokens(talker: Talker) -> None:
    talker.says(CALL, CALL, "Done.")
    ask: Any = {**ASK, "tools": [TOOL]}
    whole = client(talker).messages.create(**ask)
    assert [block.type for block in whole.content] == ["text", "tool_use"]
    assert whole.stop_reason == "tool_use"
    use = whole.content[1]
    assert use.type == "tool_use" and (use.name, use.input) == ("read_file", ARGUMENTS)
    with client(talker).messages.stream(**ask) as stream:
        events = [event.type for event in stream]
        streamed = stream.get_final_message()
    assert [block.type for block in streamed.content] == ["text", "tool_use"]
    assert streamed.content[1].type == "tool_use" and streamed.content[1].input == ARGUMENTS
    assert events[0] == "message_start" and events[-1] == "message_stop"
    assert events.count("content_block_start") == events.count("content_block_stop") == 2
    result: Any = {
        "type": "tool_result",
        "tool_use_id": use.id,
        "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
    }
    turns: Any = [
        *HI,
        {"role": "assistant", "content": [block.to_dict() for block in whole.content]},
        {"role": "user", "content": [result, {"type": "text", "text": "Go on."}]},
    ]
    client(talker).messages.create(**ask | {"messages": turns})
    before = talker.asked(0 if len(talker.engine.generator.requests) < 3 else -3)
    generated = talker.engine.generator.encoder.tokenizer.encode_marked(CALL, "\0")
    assert talker.asked().prompt[: len(before.prompt) + len(generated)] == (*before.prompt, *generated)
    assert "<tool_response>\none\ntwo\n</tool_response>" in talker.prompt()
    assert talker.prompt().endswith("<|im_start|>user\nGo on.<|im_end|>\n<|im_start|>assistant\n")


def test_what_is_asked_for_reaches_the_generator(talker: Talker) -> None:
    talker.says("one two three", CALL, CALL + CALL)
    stopped = client(talker).messages.create(
        **ASK, stop_sequences=["wo th"], extra_body={"temperature": 0.5, "top_k": 3, "top_p": 0.9}
    )
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "wo th")
    assert stopped.content[0].type == "text" and stopped.content[0].text == "one t"
    sampling = talker.asked().sampling
    assert (sampling.temperature, sampling.top_k, sampling.top_p) == (0.5, 3, 0.9)
    named: Any = {"type": "tool", "name": "read_file", "disable_parallel_tool_use": True}
    reply = client(talker).messages.create(**ASK, tools=[TOOL], tool_choice=named)
    constraint = talker.asked().constraint()
    assert constraint is not None and constraint.mask().sum() == 1
    assert reply.stop_reason == "tool_use"
    once: Any = {"type": "auto", "disable_parallel_tool_use": True}
    reply = client(talker).messages.create(**ASK, tools=[TOOL], tool_choice=once)
    assert [block.type for block in reply.content] == ["text", "tool_use"]


def test_a_begun_reply_is_continued(talker: Talker) -> None:
    talker.says("more")
    begun: Any = [*HI, {"role": "assistant", "content": [{"type": "text", "text": "Once "}]}]
    client(talker).messages.create(**ASK | {"messages": begun})
    assert talker.prompt().endswith("<|im_start|>assistant\nOnce ")


def test_a_reply_held_to_a_schema(talker: Talker) -> None:
    talker.says("{}")
    form: Any = {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}
    client(talker).messages.create(**ASK, output_config=form)
    constraint = talker.asked().constraint()
    assert constraint is not None and constraint.active


def test_half_a_call_is_left_out(talker: Talker) -> None:
    talker.says(CALL, CALL)
    ask: Any = {**ASK, "tools": [TOOL], "max_tokens": 60}
    reply = client(talker).messages.create(**ask)
    assert [block.type for block in reply.content] == ["text"] and reply.stop_reason == "max_tokens"
    events = list(client(talker).messages.create(**ask, stream=True))
    assert [event.delta.stop_reason for event in events if event.type == "message_delta"] == ["max_tokens"]


def test_tokens_are_counted_without_a_reply(talker: Talker) -> None:
    talker.says("x")
    ask: Any = {"model": "any", "messages": HI, "tools": [TOOL], "system": "Be brief."}
    counted = client(talker).messages.count_tokens(**ask)
    client(talker).messages.create(**ask, max_tokens=9)
    assert counted.input_tokens == len(talker.asked().prompt)


def test_errors_are_those_of_anthropic(talker: Talker) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    with pytest.raises(anthropic.BadRequestError, match="cannot take a block of type 'image'") as refused:
        client(talker).messages.create(**ASK | {"messages": [{"role": "user", "content": [image]}]})
    assert refused.value.body == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": refused.value.body["error"]["message"]},  # type: ignore[index]
    }
    with pytest.raises(anthropic.AuthenticationError):
        client(talker).with_options(api_key="wrong").messages.create(**ASK)
    with pytest.raises(anthropic.BadRequestError, match="2,000 tokens"):
        client(talker).messages.create(**ASK | {"messages": [{"role": "user", "content": "7" * 3000}]})
    talker.says(RuntimeError("gone"), RuntimeError("gone"))
    with pytest.raises(anthropic.InternalServerError, match="gone"):
        client(talker).messages.create(**ASK)
    with pytest.raises(anthropic.APIStatusError, match="gone"):
        list(client(talker).messages.create(**ASK, stream=True))


def test_what_nobody_here_can_run_is_left_out_and_said(talker: Talker) -> None:
    talker.says("a")
    search: Any = {"type": "web_search_20250305", "name": "web_search"}
    response = client(talker).messages.with_raw_response.create(**ASK, tools=[search, TOOL])
    assert "'web_search'" in response.headers["x-tidegate-warning"]
    assert "web_search" not in talker.prompt()


def test_a_long_prefill_is_kept_alive(talker: Talker) -> None:
    talker.says("", "Hello")
    body = json.dumps({**ASK, "stream": True})
    headers = {"x-api-key": "sesame", "content-type": "application/json"}
    url = f"{talker.engine.url}/v1/messages"
    with httpx2.stream("POST", url, content=body, headers=headers, timeout=LONGEST) as response:
        assert any(line.startswith(":") for line in response.iter_lines())
    assert talker.engine.generator.cancelled.acquire(timeout=LONGEST), "a client that leaves ends its reply"
    assert client(talker).messages.create(**ASK).content[0].to_dict()["text"] == "Hello"
