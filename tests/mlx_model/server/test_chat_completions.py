"""The protocol, over real HTTP, with the official client and a generator that says what it is told to."""

import gzip
import json
import math
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from tokenizers import Tokenizer

from mlx_model.chat.prompt import PromptEncoder
from mlx_model.chat.tools.grammar import ToolGrammar
from mlx_model.decode.request import PromptProcessed, SamplingParameters
from mlx_model.engine.generation_config import published_sampling
from mlx_model.errors import CheckpointError
from mlx_model.server.body import as_json
from mlx_model.server.scheduler import Scheduler
from tests.support.engine.scripted_generator import ScriptedEngine, scripted_engine
from tests.support.patience import LONGEST
from tests.support.weights.small_tokenizer import VOCABULARY

CALL = (
    "Let me see.\n\n<tool_call>\n<function=read_file>\n<parameter=file_path>\nsrc/ä.py\n</parameter>\n"
    "<parameter=limit>\n20\n</parameter>\n</function>\n</tool_call>"
)
TOOL: Any = {
    "function": {
        "name": "read_file",
        "description": "Reads.",
        "parameters": {
            "type": "object",
            "properties": {"file_path": {"type": "string"}, "limit": {"type": "integer"}},
        },
    },
    "type": "function",
}
HI: Any = [{"role": "user", "content": "hi"}]


def client(engine: ScriptedEngine) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{engine.url}/v1", api_key="none", max_retries=0, timeout=LONGEST)


def post(engine: ScriptedEngine, body: dict[str, Any], **headers: str) -> httpx2.Response:
    return httpx2.post(f"{engine.url}/v1/chat/completions", json=body, headers=headers, timeout=LONGEST)


def data(response: httpx2.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_a_reply_with_one_call_ends_behind_it(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, f"{CALL}\n{CALL}...", "Done.") as engine:
        ask: Any = {"model": "any", "tools": [TOOL], "parallel_tool_calls": False}
        choice = client(engine).chat.completions.create(messages=HI, **ask).choices[0]
        assert choice.finish_reason == "tool_calls" and len(choice.message.tool_calls or []) == 1
        assert engine.generator.cancelled.acquire(timeout=LONGEST), "the rest is not generated"
        # It comes back as the tokens it was generated as, closed as the template closes it.
        call = choice.message.to_dict()
        result = {"role": "tool", "tool_call_id": choice.message.tool_calls[0].id, "content": "x"}
        client(engine).chat.completions.create(messages=[*HI, call, result], **ask)
        first, second = engine.generator.requests
        tokenizer = engine.generator.encoder.tokenizer
        generated = tokenizer.encode_marked(CALL, "\0")
        assert second.prompt[: len(first.prompt) + len(generated)] == (*first.prompt, *generated)
        assert second.prompt[len(first.prompt) + len(generated)] in tokenizer.stop_tokens


@pytest.mark.parametrize("old", ({"functions": [TOOL["function"]]}, {"function_call": "auto"}))
def test_the_old_form_of_tools_is_refused_in_a_sentence(checkpoint: Path, old: dict[str, Any]) -> None:
    with scripted_engine(checkpoint) as engine:
        refused = post(engine, {"messages": HI, **old})
        assert refused.status_code == 400
        assert "send tools and tool_choice" in refused.json()["error"]["message"]


def test_the_checkpoint_says_how_it_is_sampled_where_the_request_does_not(
    checkpoint: Path, tmp_path: Path
) -> None:
    def says(settings: object) -> SamplingParameters:
        (tmp_path / "generation_config.json").write_text(json.dumps(settings))
        return published_sampling(tmp_path)

    published = SamplingParameters()
    assert published_sampling(tmp_path) == says({"top_k": None}) == published
    own = says({"temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05, "do_sample": True})
    assert own == SamplingParameters(0.7, 0.8, 20, 0.0, 1.05)
    assert says({"do_sample": False, "temperature": 0.7}).temperature == 0
    for wrong in (
        {"top_p": 2},
        {"temperature": "warm"},
        {"top_k": True},
        {"top_k": inf},
        {"top_p": 0},
        {"temperature": nan},
    ):
        with pytest.raises(CheckpointError, match=f"sets {next(iter(wrong))} to .*; leave it out"):
            says(wrong)
    with scripted_engine(checkpoint, "a", "b", sampling=own) as engine:
        post(engine, {"messages": HI})
        post(engine, {"messages": HI, "temperature": 0, "top_k": 5})
        asked = [request.sampling for request in engine.generator.requests]
        assert asked == [own, replace(own, temperature=0, top_k=5)]


def test_tool_calls_whole_and_streamed(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, CALL, CALL) as engine:
        ask: Any = {"model": "any", "messages": HI, "tools": [TOOL]}
        whole = client(engine).chat.completions.create(**ask)
        message = whole.choices[0].message
        (call,) = message.tool_calls or []
        assert message.content == "Let me see."
        assert call.type == "function"
        assert (call.function.name, json.loads(call.function.arguments)) == (
            "read_file",
            {"file_path": "src/ä.py", "limit": 20},
        )
        assert whole.choices[0].finish_reason == "tool_calls"
        with client(engine).chat.completions.stream(**ask) as stream:
            streamed = stream.get_final_completion().choices[0]
        assert streamed.message.content == message.content
        (again,) = streamed.message.tool_calls or []
        assert again.function.arguments == call.function.arguments
        assert streamed.finish_reason == "tool_calls"


def test_the_extension_fields(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "Hello") as engine:
        body = {
            "messages": HI,
            "stream": True,
            "return_progress": True,
            "stream_options": {"include_usage": True},
        }
        chunks = data(post(engine, body))
        (request,) = engine.generator.requests
        total = len(request.prompt)
        progress = [chunk["prompt_progress"] for chunk in chunks if "prompt_progress" in chunk]
        assert progress == [
            {"total": total, "cache": 3, "processed": 3, "time_ms": 0.0},
            {"total": total, "cache": 3, "processed": total, "time_ms": 10.0},
        ]
        assert [chunk["usage"]["prompt_tokens_details"] for chunk in chunks if "usage" in chunk] == [
            {"cached_tokens": 3}
        ]
        assert [number for number, chunk in enumerate(chunks) if "timings" in chunk] == [len(chunks) - 1]
        timings = chunks[-1]["timings"]
        assert (timings["cache_n"], timings["prompt_n"], timings["prompt_ms"]) == (3, total - 3, 10.0)
        assert timings["prompt_per_second"] == pytest.approx((total - 3) * 100)


def test_timings_come_with_every_piece_of_a_reply_that_asks_for_them(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "Hello there") as engine:
        chunks = data(post(engine, {"messages": HI, "stream": True, "timings_per_token": True}))
        timed = [chunk for chunk in chunks if "timings" in chunk]
        counts = [chunk["timings"]["predicted_n"] for chunk in timed]
        # One a token, also for those that show nothing, and one at the end.
        assert counts == [*range(1, counts[-1] + 1), counts[-1]] and len(counts) > 3
        assert all("timings" in chunk for chunk in chunks if chunk["choices"][0]["delta"].get("content"))
        assert {chunk["timings"]["draft_n"] for chunk in timed} == {2}
        assert chunks[-1]["timings"]["draft_sources"] == {"lookup": {"draft_n": 2, "draft_n_accepted": 1}}


def test_stop_strings_never_show_and_end_the_generation(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "one two three four...", "one ST") as engine:
        ask: Any = {"model": "any", "messages": HI, "stop": ["wo th", "STOP"]}
        stopped = client(engine).chat.completions.create(**ask)
        assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == ("one t", "stop")
        assert engine.generator.cancelled.acquire(timeout=LONGEST)
        # What only looked like the beginning of one is shown after all.
        assert client(engine).chat.completions.create(**ask).choices[0].message.content == "one ST"


def test_requests_reach_the_generator_as_asked(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "a", "b") as engine:
        messages: Any = [{"role": "system", "content": "S"}, {"role": "user", "content": "x <|im_end|>"}]
        reply = client(engine).chat.completions.create(
            model="any",
            messages=messages,
            tools=[TOOL],
            temperature=0.5,
            top_p=0.25,
            seed=-7,
            max_completion_tokens=9,
            extra_body={"top_k": 3, "min_p": 0.1, "repetition_penalty": 1.5, "draft": "lookup"},
        )
        (request,) = engine.generator.requests
        sampling = request.sampling
        assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.5, 0.25, 3)
        assert (sampling.min_p, sampling.repetition_penalty, sampling.seed) == (0.1, 1.5, -7)
        assert request.max_tokens == 9
        assert request.draft == "lookup"
        # The template shows tools just as the client wrote them.
        whole = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
        assert json.dumps(TOOL) in whole.decode(list(request.prompt), skip_special_tokens=False)
        # Two turns were closed, although the user spelled a third closing.
        ends = [at + 1 for at, token in enumerate(request.prompt) if token in request.stop_tokens]
        assert len(ends) == 2
        assert request.boundaries == tuple(ends)
        # A conversation goes on with the very tokens that were generated.
        messages += [{"role": "assistant", "content": reply.choices[0].message.content}, HI[0]]
        client(engine).chat.completions.create(model="any", messages=messages, tools=[TOOL])
        longer = engine.generator.requests[1].prompt
        assert longer[: len(request.prompt)] == request.prompt
        assert len(engine.generator.threads) == 1


def test_limits_and_seeds_are_taken_as_clients_mean_them(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "a", "b", "c") as engine:
        ask: Any = {"model": "any", "messages": HI}
        chat = client(engine).chat.completions
        lowered = chat.create(**ask, max_tokens=32_000, seed=-1, top_p=0, temperature=0.7)
        first = engine.generator.requests[0]
        assert first.max_tokens == 2000 - len(first.prompt)
        assert lowered.usage is not None and lowered.usage.to_dict()["max_tokens"] == first.max_tokens
        assert (first.sampling.temperature, first.sampling.seed) == (0, None)
        for unlimited in (-1, None):
            reply = chat.create(**ask, max_tokens=unlimited, extra_body={"max_completion_tokens": unlimited})
            assert engine.generator.requests[-1].max_tokens == first.max_tokens
            assert reply.usage is not None and "max_tokens" not in reply.usage.to_dict()


def test_a_begun_reply_is_continued_and_a_named_tool_is_called_once(checkpoint: Path) -> None:
    grammar = ToolGrammar(PromptEncoder.from_directory(checkpoint).tokenizer, VOCABULARY)
    with scripted_engine(checkpoint, "more", f"{CALL}\n{CALL}...", "{}", grammar=grammar) as engine:
        chat, sent = client(engine).chat.completions, engine.generator.requests
        begun: Any = [*HI, {"role": "assistant", "content": "Once "}]
        reply = chat.create(model="any", messages=begun, extra_body={"continue_final_message": True})
        assert reply.choices[0].message.content == "more"
        named: Any = {"type": "function", "function": {"name": "read_file"}}
        reply = chat.create(model="any", messages=HI, tools=[TOOL], tool_choice=named)
        assert len(reply.choices[0].message.tool_calls or []) == 1
        constraint = sent[1].constraint()
        assert constraint is not None and constraint.mask().sum() == 1
        chat.create(model="any", messages=HI, response_format={"type": "json_object"})
        opening = sent[2].prompt
        assert sent[0].prompt == (*opening, *engine.generator.encoder.tokenizer.encode("Once "))
        held = sent[2].constraint()
        assert held is not None and held.mask().sum() < 10


def test_penalties_and_biases_reach_the_sampler(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "a") as engine:
        client(engine).chat.completions.create(
            model="any", messages=HI, presence_penalty=0.5, frequency_penalty=-1, logit_bias={"7": -100}
        )
        sampling = engine.generator.requests[0].sampling
        assert (sampling.presence_penalty, sampling.frequency_penalty) == (0.5, -1)
        assert sampling.logit_bias == ((7, -100),)


def test_addresses_with_and_without_v1(refusing: ScriptedEngine) -> None:
    for base in (refusing.url, f"{refusing.url}/v1"):
        models = openai.OpenAI(base_url=base, api_key="none", max_retries=0, timeout=LONGEST).models
        assert models.retrieve("scripted") == models.list().data[0]
        with pytest.raises(openai.NotFoundError, match="'owner/other' here; this server has 'scripted'"):
            models.retrieve("owner/other")


@given(st.text(st.characters(exclude_categories=())))
def test_any_string_of_json_arrives_with_halves_of_pairs_replaced(text: str) -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"text": text}).encode()
    meant = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert TypeAdapter(dict[str, str]).validate_json(as_json(body)) == {"text": meant}


def test_sixty_thousand_emoji_of_tool_output_do_no_harm(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "Hello", context_length=400_000) as engine:
        # Cut in the midst of the last, as JavaScript cuts strings.
        call = {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "read_file"}}]}
        result = {"role": "tool", "tool_call_id": "c", "content": "\U0001f600" * 60_000 + "\ud83d"}
        body = json.dumps({"messages": [*HI, call, result], "max_tokens": 9}).encode()
        headers = {"content-type": "application/json"}
        url = f"{engine.url}/v1/chat/completions"
        response = httpx2.post(url, content=body, headers=headers, timeout=LONGEST)
        assert response.json()["choices"][0]["message"]["content"] == "Hello"
        assert len(engine.generator.requests[0].prompt) > 60_000


def test_a_packed_body_and_what_is_none(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "Hello") as engine:

        def packed(body: bytes, encoding: str = "gzip") -> httpx2.Response:
            headers = {"content-type": "application/json", "content-encoding": encoding}
            url = f"{engine.url}/v1/chat/completions"
            return httpx2.post(url, content=body, headers=headers, timeout=LONGEST)

        body = gzip.compress(json.dumps({"messages": HI}).encode())
        assert packed(body).json()["choices"][0]["message"]["content"] == "Hello"
        for wrong, encoding, word in (
            (body[:-9], "gzip", "too early"),
            (b"{}", "gzip", "not"),
            (body, "br", "takes gzip"),
            (gzip.compress(bytes(65 << 20)), "gzip", "64 MiB"),
        ):
            refused = packed(wrong, encoding)
            assert refused.status_code == 400 and word in refused.json()["error"]["message"]


def test_several_choices_whole_and_streamed(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "one", CALL, "one", CALL) as engine:
        ask: Any = {"model": "any", "messages": HI, "tools": [TOOL], "n": 2, "seed": 7}
        whole = client(engine).chat.completions.create(**ask)
        assert [(choice.index, choice.finish_reason) for choice in whole.choices] == [
            (0, "stop"),
            (1, "tool_calls"),
        ]
        sent = engine.generator.requests
        assert [request.sampling.seed for request in sent] == [7, 8] and sent[0].prompt == sent[1].prompt
        assert whole.usage is not None and whole.usage.prompt_tokens == len(sent[0].prompt)
        with client(engine).chat.completions.stream(**ask) as stream:
            streamed = stream.get_final_completion().choices
        assert [choice.message.content for choice in streamed] == ["one", "Let me see."]
        assert [choice.finish_reason for choice in streamed] == ["stop", "tool_calls"]


def test_log_probabilities_whole_and_streamed(checkpoint: Path) -> None:
    text = "Größe <|im_start|>x"
    with scripted_engine(checkpoint, text, text) as engine:
        ask: Any = {"model": "any", "messages": HI, "logprobs": True, "top_logprobs": 1}
        whole = client(engine).chat.completions.create(**ask).choices[0].logprobs
        assert whole is not None and whole.content is not None
        tokenizer = engine.generator.encoder.tokenizer
        said = tokenizer.encode_marked(text, "\0")
        assert [bytes(token.bytes or ()) for token in whole.content] == list(map(tokenizer.bytes_of, said))
        assert [token.logprob for token in whole.content] == [-float(count + 1) for count in range(len(said))]
        assert whole.content[0].top_logprobs[0].logprob == -0.5
        chunks = list(client(engine).chat.completions.create(**ask, stream=True))
        streamed = [chunk.choices[0].logprobs for chunk in chunks]
        assert [token for each in streamed if each for token in each.content or ()] == whole.content


def test_doubt_is_told_of_every_token_to_whoever_asks(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, CALL, CALL) as engine:
        ask: dict[str, Any] = {"messages": HI, "tools": [TOOL], "stream": True}
        told = data(post(engine, {**ask, "return_doubt": True}))
        plain = data(post(engine, ask))
        doubts = [doubt for chunk in told for doubt in chunk["choices"][0].pop("doubt", ())]
        assert "".join(text for text, _, _ in doubts) == CALL
        assert doubts[1][1:] == [round(math.exp(-2), 4)] * 2
        assert not any("doubt" in chunk["choices"][0] for chunk in plain)
        # Nothing else is different.
        deltas = [[chunk["choices"][0] for chunk in chunks] for chunks in (told, plain)]
        assert re.sub("call_[0-9a-z]+", "", json.dumps(deltas[0])) == re.sub(
            "call_[0-9a-z]+", "", json.dumps(deltas[1])
        )


def test_half_a_call_is_not_closed(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, CALL) as engine:
        reply = post(engine, {"messages": HI, "tools": [TOOL], "max_tokens": 60}).json()["choices"][0]
        assert reply["finish_reason"] == "length"
        with pytest.raises(ValueError, match=r"."):
            json.loads(reply["message"]["tool_calls"][0]["function"]["arguments"])


def asking(engine: ScriptedEngine) -> socket.socket:
    """A connection that has asked for a reply and has not read anything."""
    body = json.dumps({"messages": HI})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    connection = socket.create_connection(("127.0.0.1", int(engine.url.rpartition(":")[2])))
    connection.sendall(f"{head}Content-Type: application/json\r\n\r\n{body}".encode())
    return connection


def test_a_client_that_leaves_ends_its_reply(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "...", "...", "", "Hello") as engine:
        generator = engine.generator
        stream = client(engine).chat.completions.create(model="any", messages=HI, stream=True)
        next(iter(stream))
        assert generator.started.acquire(timeout=LONGEST)
        # One more waits in the queue, and leaves before its turn: it is never begun.
        with asking(engine):
            assert httpx2.get(f"{engine.url}/health").status_code == 200
        stream.close()
        assert generator.cancelled.acquire(timeout=LONGEST)
        for _ in range(2):  # while it decodes, and while it is in its prefill; neither streams
            with asking(engine):
                assert generator.started.acquire(timeout=LONGEST)
            assert generator.cancelled.acquire(timeout=LONGEST)
        assert post(engine, {"messages": HI}).json()["choices"][0]["message"]["content"] == "Hello"
        assert len(generator.requests) == 4


def test_arguments_of_any_depth_are_no_failure(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "Hello", "Hello", "Hello") as engine:
        # The deepest are longer than the context, which is found out after rendering them.
        for depth, status in ((99, 200), (101, 200), (900, 400)):
            function = {"name": "read", "arguments": '{"a":' * depth + "1" + "}" * depth}
            call = {"role": "assistant", "tool_calls": [{"id": "c", "function": function}]}
            response = post(engine, {"messages": [*HI, call]})
            assert response.status_code == status, response.text


def test_a_reply_of_any_depth_is_no_failure(checkpoint: Path) -> None:
    reply = CALL.replace("<parameter=limit>\n20", f"<parameter=limit>\n{'[' * 700}{']' * 700}")
    with scripted_engine(checkpoint, reply, "<parameter=a>") as engine:
        response = post(engine, {"messages": HI, "tools": [TOOL], "stream": True})
        assert data(response)[-1]["choices"][0]["finish_reason"] == "tool_calls"
        # Nor is a schema that has null where others have nothing.
        tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": None}}}
        assert post(engine, {"messages": HI, "tools": [tool]}).status_code == 200


def test_what_json_can_spell_and_utf8_cannot_is_no_failure(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "Hello") as engine:
        function = {
            "name": "read",
            "arguments": r'{"a": "x\ud800y", "b": "\ud83d\ude00"}'.replace("\\\\", "\\"),
        }
        call = {"role": "assistant", "tool_calls": [{"id": "c", "function": function}]}
        response = post(engine, {"messages": [*HI, call]})
        assert response.status_code == 200, response.text
        tokenizer, (request,) = engine.generator.encoder.tokenizer, engine.generator.requests
        text = b"".join(map(tokenizer.bytes_of, request.prompt)).decode()
        assert "x\ufffdy" in text and "\U0001f600" in text


def test_a_failure_ends_one_reply_and_not_the_engine(checkpoint: Path) -> None:
    broken = RuntimeError("the device is out of memory")
    with scripted_engine(checkpoint, broken, broken, "Hello") as engine:
        failed = post(engine, {"messages": HI})
        assert failed.status_code == 500
        assert "out of memory" in failed.json()["error"]["message"]
        with pytest.raises(openai.APIError, match="out of memory"):
            list(client(engine).chat.completions.create(model="any", messages=HI, stream=True))
        assert post(engine, {"messages": HI}).json()["choices"][0]["message"]["content"] == "Hello"


def test_a_defect_ends_a_stream_with_words(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise AssertionError("a defect")

    monkeypatch.setattr("mlx_model.server.reply.ReplyReader.finish", broken)
    with scripted_engine(checkpoint, "Hello") as engine:
        response = post(engine, {"messages": HI, "stream": True})
        assert "internal_error" in response.text.splitlines()[-2] and "a defect" not in response.text


def test_progress_that_nobody_asked_for_does_not_pass_for_a_sign_of_life(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "......", keep_alive_seconds=0.5) as engine:

        def endless(_request: Any, cancelled: Any) -> Iterator[PromptProcessed]:
            pause = threading.Event()
            while not cancelled():
                yield PromptProcessed(10, 0, 1, 0.0)
                pause.wait(0.05)

        engine.generator.answer = endless  # type: ignore[method-assign]
        body = {"messages": HI, "stream": True}
        with httpx2.stream("POST", f"{engine.url}/v1/chat/completions", json=body, timeout=LONGEST) as response:
            assert any(line.startswith(":") for line in response.iter_lines())


def test_a_long_prefill_and_who_waits_for_it_are_kept_alive_and_ended_by_shutdown(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "", keep_alive_seconds=0.02) as engine:
        body = {"messages": HI, "stream": True}
        address = f"{engine.url}/v1/chat/completions"
        with httpx2.stream("POST", address, json=body, timeout=LONGEST) as response:
            lines = response.iter_lines()
            assert any(line.startswith(":") for line in lines)
            with httpx2.stream("POST", address, json=body, timeout=LONGEST) as waiting:
                assert any(line.startswith(":") for line in waiting.iter_lines())
            assert len(engine.generator.requests) == 1
            engine.scheduler.stop()
            (last,) = [line for line in lines if line.startswith("data: ")]
        assert "shutting down" in json.loads(last.removeprefix("data: "))["error"]["message"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 0),
        ("messages", []),
        ("messages", [{"role": "wizard", "content": "x"}]),
        ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
        ("temperature", -1),
        ("top_p", 1.1),
        ("top_k", "many"),
        ("seed", 1e300),
        ("max_tokens", -2),
        ("stop", [1]),
        ("stop", [str(number) for number in range(17)]),
        ("tools", [{"type": "function", "function": {}}]),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "absent"}}),
        ("response_format", {"type": "json_object"}),  # there is no grammar here
        ("response_format", {"type": "json_schema"}),
        ("continue_final_message", True),
        ("top_logprobs", 3),
        ("presence_penalty", 2.5),
        ("logit_bias", {"the": -100}),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(refusing: ScriptedEngine, field: str, value: Any) -> None:
    response = post(refusing, {"messages": HI, field: value})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert field in error["message"]


@pytest.fixture(scope="module")
def refusing(checkpoint: Path) -> Iterator[ScriptedEngine]:
    with scripted_engine(checkpoint) as engine:
        yield engine


def test_a_conversation_too_long_is_refused_in_numbers(refusing: ScriptedEngine) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client(refusing).chat.completions.create(
            model="any", messages=[{"role": "user", "content": "7" * 3000}]
        )
    assert refused.value.code == "context_length_exceeded"
    assert "2,000" in refused.value.message
    assert "3,0" in refused.value.message


def test_tools_that_a_template_leaves_out_are_named(
    checkpoint: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    system: Any = [{"role": "system", "content": "S"}, *HI]
    with scripted_engine(checkpoint, "a", "b", "c") as engine:
        # This template has tools where there is a system prompt.
        warned = [
            post(engine, {"messages": messages, "tools": [TOOL]}).headers.get("x-tidegate-warning")
            for messages in (HI, HI, system)
        ]
        assert warned[0] == warned[1] and "chat template has no place" in (warned[0] or "")
        assert warned[2] is None
        assert caplog.text.count("has no place") == 1, "the log says it once"
    trained = Path(shutil.copytree(checkpoint, tmp_path / "trained"))
    settings = json.loads((trained / "tokenizer_config.json").read_text())
    (trained / "tokenizer_config.json").write_text(json.dumps(settings | {"trained_on_tools": True}))
    with scripted_engine(trained, "a") as engine:
        assert "x-tidegate-warning" not in post(engine, {"messages": HI, "tools": [TOOL]}).headers


def test_a_page_that_the_user_trusts_is_answered(checkpoint: Path) -> None:
    page = "http://localhost:3000"
    with scripted_engine(checkpoint, "Hello", origins=(page,)) as engine:
        url = f"{engine.url}/v1/chat/completions"
        asks = {"origin": page, "access-control-request-method": "POST"}
        allowed = httpx2.options(url, headers=asks).headers
        assert allowed["access-control-allow-origin"] == page
        assert post(engine, {"messages": HI}, origin=page).headers["access-control-allow-origin"] == page
        assert post(engine, {"messages": HI}, origin="http://localhost:3001").status_code == 403


def test_requests_that_web_pages_can_make_are_refused(refusing: ScriptedEngine) -> None:
    body = {"messages": HI, "n": 0}  # refused too, but later
    assert post(refusing, body).status_code == 400
    assert post(refusing, body, host="localhost:1").status_code == 400
    assert post(refusing, body, host="[::1]:1").status_code == 400
    assert post(refusing, body, host="rebound.example:8080").status_code == 403
    assert post(refusing, body, host="localhost.rebound.example").status_code == 403
    of_page = post(refusing, body, origin="http://127.0.0.1:8080")
    assert of_page.status_code == 403
    assert "--allow-origin http://127.0.0.1:8080" in of_page.json()["error"]["message"]
    plain = {"content-type": "text/plain"}
    assert httpx2.post(f"{refusing.url}/v1/chat/completions", content=b"{}", headers=plain).status_code == 400
    assert httpx2.get(f"{refusing.url}/v1/nothing").json()["error"]["type"] == "invalid_request_error"


def test_the_key_guards_all_but_health(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "Hello", api_key="sesame") as engine:
        assert httpx2.get(f"{engine.url}/health").json() == {"status": "ok"}
        assert httpx2.get(f"{engine.url}/v1/models").status_code == 401
        with pytest.raises(openai.AuthenticationError):
            client(engine).models.list()
        (model,) = client(engine).with_options(api_key="sesame").models.list()
        assert model.model_dump()["context_length"] == 2000
        assert model.model_dump()["details"] == {"dtype": "none"}


def test_loading_reports_progress_and_failure() -> None:
    reported, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def load(report: Any) -> Any:
        report(0.25)
        reported.set()
        go_on.wait(LONGEST)
        raise CheckpointError("The weights are gone.")

    scheduler = Scheduler(load)
    scheduler.start(ended.set)
    assert reported.wait(LONGEST)
    assert (scheduler.state.phase, scheduler.state.progress) == ("loading", 0.25)
    go_on.set()
    assert ended.wait(LONGEST)
    assert (scheduler.state.phase, str(scheduler.state.error)) == ("failed", "The weights are gone.")
