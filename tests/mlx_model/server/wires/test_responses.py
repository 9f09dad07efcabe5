"""OpenAI Responses, with OpenAI's own client."""

import json
from typing import Any

import httpx2
import openai
import pydantic
import pytest

from mlx_model.server.wires.responses_memory import ResponseMemory
from tests.mlx_model.server.wires.conftest import ARGUMENTS, CALL, SCHEMA, Talker
from tests.support.patience import LONGEST

TOOL: Any = {"type": "function", "name": "read_file", "description": "Reads.", "parameters": SCHEMA}


def client(talker: Talker) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{talker.engine.url}/v1", api_key="sesame", max_retries=0, timeout=LONGEST)


def test_text_whole_and_streamed_event_by_event(talker: Talker) -> None:
    talker.says("Hello there", "Hello there")
    ask: Any = {"model": "any", "input": "hi", "instructions": "S", "metadata": {"k": "v"}}
    whole = client(talker).responses.create(**ask)
    assert (whole.output_text, whole.status, whole.metadata) == ("Hello there", "completed", {"k": "v"})
    assert talker.prompt().startswith("<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nhi<|im_end|>")
    length = len(talker.asked().prompt)
    assert whole.usage is not None
    assert (whole.usage.input_tokens, whole.usage.input_tokens_details.cached_tokens) == (length, 3)
    events = list(client(talker).responses.create(**ask, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type.removeprefix("response.") for event in events]
    texts = kinds.count("output_text.delta")
    assert texts > 1
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        *["output_text.delta"] * texts,
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    final = events[-1]
    assert final.type == "response.completed"
    assert final.response.output_text == "Hello there" and final.response.usage == whole.usage


def test_calls_whole_and_streamed_and_their_results(talker: Talker) -> None:
    talker.says(CALL, CALL, "Done.")
    ask: Any = {"model": "any", "input": "hi", "tools": [TOOL]}
    whole = client(talker).responses.create(**ask)
    message, call = whole.output
    assert message.type == "message" and call.type == "function_call"
    assert (call.name, json.loads(call.arguments), call.status) == ("read_file", ARGUMENTS, "completed")
    with client(talker).responses.stream(**ask) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_response()
    assert [item.type for item in streamed.output] == ["message", "function_call"]
    assert streamed.output[1].type == "function_call" and streamed.output[1].arguments == call.arguments
    assert kinds.index("response.output_text.done") < kinds.index("response.function_call_arguments.delta")
    assert kinds.count("response.output_item.done") == 2
    # All of it comes back as the client would send it, and is encoded as it was generated.
    items: Any = [
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        *(item.to_dict() for item in whole.output),
        {"type": "function_call_output", "call_id": call.call_id, "output": "text of it"},
    ]
    client(talker).responses.create(**ask | {"input": items})
    first = talker.asked(-3)
    generated = talker.engine.generator.encoder.tokenizer.encode_marked(CALL, "\0")
    assert talker.asked().prompt[: len(first.prompt) + len(generated)] == (*first.prompt, *generated)
    assert "<tool_response>\ntext of it\n</tool_response>" in talker.prompt()


def test_a_response_is_continued_by_its_id(talker: Talker) -> None:
    talker.says(CALL, "Done.", "Yes.", "a")
    responses = client(talker).responses
    first = responses.create(model="any", input="hi", tools=[TOOL], instructions="Be brief.")
    call = first.output[1]
    assert call.type == "function_call"
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "text of it"}
    second = responses.create(model="any", input=[result], tools=[TOOL], previous_response_id=first.id)
    assert "text of it" in talker.prompt() and "src/ä.py" in talker.prompt()
    assert "Be brief" not in talker.prompt(), "instructions are not carried over"
    third = responses.create(model="any", input="Sure?", previous_response_id=second.id, store=False)
    assert third.previous_response_id == second.id
    assert "Done.<|endoftext|>\n<|im_start|>user\nSure?<|im_end|>" in talker.prompt(), "as it was generated"
    for unknown in (third.id, "resp_none"):
        with pytest.raises(openai.BadRequestError, match="not in memory") as refused:
            responses.create(model="any", input="x", previous_response_id=unknown)
        assert refused.value.code == "previous_response_not_found"


def test_the_memory_of_responses_is_bounded() -> None:
    memory = ResponseMemory(characters=1000)
    for number in range(30):
        memory.keep({"id": f"r{number}"}, [{"role": "user", "content": "x" * 100}])
        assert memory.find("r0"), "what is used stays"
    kept = [number for number in range(30) if memory.find(f"r{number}")]
    assert kept == [0, *range(30 - len(kept) + 1, 30)] and 4 < len(kept) < 8
    memory.keep({"id": "huge"}, [{"role": "user", "content": "x" * 2000}])
    assert memory.find("huge") is None


def test_a_response_is_read_and_deleted_by_its_id(talker: Talker) -> None:
    talker.says("Hello there", "Hello there", "a")
    responses = client(talker).responses
    made = responses.create(model="any", input="hi")
    assert responses.retrieve(made.id) == made
    streamed = list(responses.create(model="any", input="hi", stream=True))[-1]
    assert streamed.type == "response.completed"
    assert responses.retrieve(streamed.response.id) == streamed.response
    responses.delete(made.id)
    for ask in (responses.retrieve, responses.delete):
        with pytest.raises(openai.NotFoundError, match="not in memory"):
            ask(made.id)
    with pytest.raises(openai.BadRequestError, match="not in memory"):
        responses.create(model="any", input="x", previous_response_id=made.id)
    unkept = responses.create(model="any", input="hi", store=False)
    with pytest.raises(openai.NotFoundError):
        responses.retrieve(unkept.id)


class Answer(pydantic.BaseModel):
    """A reply in a form."""

    yes: bool


def test_a_reply_in_a_form_and_limits(talker: Talker) -> None:
    talker.says('{"yes": true}', "one two three four", CALL)
    parsed = client(talker).responses.parse(model="any", input="hi", text_format=Answer)
    assert parsed.output_parsed == Answer(yes=True)
    constraint = talker.asked().constraint()
    assert constraint is not None and constraint.active
    cut = client(talker).responses.create(
        model="any", input="hi", max_output_tokens=5, temperature=0.5, top_p=0.25
    )
    assert cut.status == "incomplete" and cut.incomplete_details is not None
    assert cut.incomplete_details.reason == "max_output_tokens"
    assert (talker.asked().sampling.temperature, talker.asked().sampling.top_p) == (0.5, 0.25)
    named: Any = {"type": "function", "name": "read_file"}
    reply = client(talker).responses.create(model="any", input="hi", tools=[TOOL], tool_choice=named)
    assert [item.type for item in reply.output][-1] == "function_call"
    assert talker.asked().constraint().mask().sum() == 1  # type: ignore[union-attr]


def test_log_probabilities(talker: Talker) -> None:
    talker.says("one two", "one two")
    ask: Any = {"model": "any", "input": "hi", "include": ["message.output_text.logprobs"], "top_logprobs": 1}
    message = client(talker).responses.create(**ask).output[0]
    assert message.type == "message" and message.content[0].type == "output_text"
    told = message.content[0].logprobs or []
    assert "".join(token.token for token in told) == "one two"
    events = client(talker).responses.create(**ask, stream=True)
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert [token.logprob for delta in deltas for token in delta.logprobs] == [t.logprob for t in told]


def test_tools_of_one_text_and_tools_that_nobody_here_runs(talker: Talker) -> None:
    written = (
        "<tool_call>\n<function=apply>\n<parameter=input>\n*** Begin\n</parameter>\n</function>\n</tool_call>"
    )
    talker.says(written, written, "ok")
    tools: Any = [{"type": "custom", "name": "apply"}, {"type": "web_search"}]
    ask: Any = {"model": "any", "input": "hi", "tools": tools}
    raw = client(talker).responses.with_raw_response.create(**ask)
    assert "'web_search'" in raw.headers["x-tidegate-warning"]
    (call,) = raw.parse().output
    assert call.type == "custom_tool_call" and call.input == "*** Begin"
    kinds = [event.type for event in client(talker).responses.create(**ask, stream=True)]
    assert "response.custom_tool_call_input.done" in kinds
    items: Any = [call.to_dict(), {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "ok"}]
    client(talker).responses.create(**ask | {"input": items})
    assert "*** Begin\n</parameter>" in talker.prompt()


@pytest.mark.parametrize(
    ("ask", "word"),
    [
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "item_reference"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input_image"),
        ({"input": []}, "messages"),
        ({"tool_choice": "required"}, "no tools"),
        ({"max_output_tokens": "many"}, "max_output_tokens"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(talker: Talker, ask: dict[str, Any], word: str) -> None:
    body = {"input": "hi", **ask}
    headers = {"authorization": "Bearer sesame"}
    response = httpx2.post(f"{talker.engine.url}/v1/responses", json=body, headers=headers, timeout=LONGEST)
    assert response.status_code == 400 and word in response.json()["error"]["message"]


def test_a_failure_in_a_stream_and_a_client_that_leaves(talker: Talker) -> None:
    talker.says(RuntimeError("gone"), "", "Hello")
    events = list(client(talker).responses.create(model="any", input="hi", stream=True))
    last = events[-1]
    assert last.type == "response.failed" and last.response.error is not None
    assert "gone" in last.response.error.message
    url, headers = f"{talker.engine.url}/v1/responses", {"authorization": "Bearer sesame"}
    body = {"input": "hi", "stream": True}
    with httpx2.stream("POST", url, json=body, headers=headers, timeout=LONGEST) as response:
        assert any(line.startswith(":") for line in response.iter_lines())
    assert talker.engine.generator.cancelled.acquire(timeout=LONGEST)
    assert client(talker).responses.create(model="any", input="hi").output_text == "Hello"
