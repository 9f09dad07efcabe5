"""Thoughts in Anthropic Messages and OpenAI Responses, with their own clients."""

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from anthropic.resources.messages import Messages
from openai.resources.responses import Responses

from mlx_model.chat.prompt import PromptEncoder
from mlx_model.chat.tools.grammar import ToolGrammar
from mlx_model.server.held_thought import HeldThought
from tests.mlx_model.server.wires.conftest import ARGUMENTS, CALL, SCHEMA, Talker
from tests.support.engine.scripted_generator import scripted_engine
from tests.support.patience import LONGEST
from tests.support.weights.servable import servable_checkpoint
from tests.support.weights.small_tokenizer import VOCABULARY, write_small_tokenizer

THOUGHT = "Which file? <tool_call> is a tag.\n"
SAID = f"{THOUGHT}</think>\n\n{CALL}"
HI: Any = [{"role": "user", "content": "hi"}]
ASK: Any = {"model": "any", "max_tokens": 400, "messages": HI}
MESSAGES_TOOL: Any = {"name": "read_file", "input_schema": SCHEMA}
RESPONSES_TOOL: Any = {"type": "function", "name": "read_file", "parameters": SCHEMA}
OFF = "<think>\n\n</think>\n\n"


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talker]:
    directory = servable_checkpoint(tmp_path_factory.mktemp("models") / "thinker")
    write_small_tokenizer(directory, thinks=True)
    grammar = ToolGrammar(PromptEncoder.from_directory(directory).tokenizer, VOCABULARY)
    with scripted_engine(directory, grammar=grammar) as engine:
        yield Talker(engine)


def messages(thinker: Talker) -> Messages:
    return anthropic.Anthropic(
        base_url=thinker.engine.url, api_key="none", max_retries=0, timeout=LONGEST
    ).messages


def responses(thinker: Talker) -> Responses:
    url = f"{thinker.engine.url}/v1"
    return openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=LONGEST).responses


def budget_of(thinker: Talker) -> int | None:
    """The tokens of thought after which the last reply's constraint would end it."""
    held = thinker.asked().constraint()
    if not isinstance(held, HeldThought):
        return None
    if thinker.prompt().endswith(OFF):
        held.advance(thinker.engine.generator.encoder.tokenizer.control_tokens["<think>"])
    for count in range(10_000):
        if held.active:
            return count
        held.advance(0)
    return None


def test_messages_have_thinking_blocks_that_come_back(thinker: Talker) -> None:
    thinker.says(SAID, SAID, "Done.</think>\n\nIt is short.")
    ask: Any = {**ASK, "tools": [MESSAGES_TOOL], "thinking": {"type": "enabled", "budget_tokens": 1024}}
    whole = messages(thinker).create(**ask)
    thought, text, use = whole.content
    assert thought.type == "thinking" and thought.thinking == THOUGHT and thought.signature
    assert text.type == "text" and use.type == "tool_use" and use.input == ARGUMENTS
    assert whole.usage.output_tokens_details is not None
    assert 0 < whole.usage.output_tokens_details.thinking_tokens < whole.usage.output_tokens
    assert budget_of(thinker) == 1024
    with messages(thinker).stream(**ask) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_message()
    assert kinds.index("thinking") < kinds.index("signature") < kinds.index("text")
    first = streamed.content[0]
    assert first.type == "thinking" and first.thinking == THOUGHT and first.signature
    assert streamed.usage == whole.usage
    result: Any = {"type": "tool_result", "tool_use_id": use.id, "content": "x = 1"}
    turns: Any = [
        *HI,
        {"role": "assistant", "content": [block.to_dict() for block in whole.content]},
        {"role": "user", "content": [result]},
    ]
    messages(thinker).create(**ask | {"messages": turns})
    generated = thinker.engine.generator.encoder.tokenizer.encode_marked(SAID, "\0")
    before = thinker.asked(-2).prompt
    assert thinker.asked().prompt[: len(before) + len(generated)] == (*before, *generated)
    # One that was not made here goes to the template too.
    turns[0] = {"role": "user", "content": "hey"}
    turns[1]["content"][0]["thinking"] = "Another thought"
    thinker.says("a</think>b")
    messages(thinker).create(**ask | {"messages": turns})
    assert "<think>\nAnother thought\n</think>" in thinker.prompt()


@pytest.mark.parametrize(
    ("thinking", "effort", "budget", "shown"),
    [
        (None, None, None, None),
        ({"type": "disabled"}, None, 0, None),
        ({"type": "adaptive"}, None, None, THOUGHT),
        ({"type": "adaptive"}, "medium", 8192, THOUGHT),
        ({"type": "between_tools"}, None, None, THOUGHT),
        ({"type": "enabled", "budget_tokens": 2000, "display": "omitted"}, "low", 2000, ""),
    ],
)
def test_what_messages_say_of_thinking(
    thinking: Any, effort: Any, budget: int | None, shown: str | None, thinker: Talker
) -> None:
    off = shown is None
    # A model may think all the same.
    thinker.says(f"<think>{SAID}" if off else SAID)
    fields: Any = {"thinking": thinking} if thinking else {}
    if effort:
        fields["output_config"] = {"effort": effort}
    reply = messages(thinker).create(**ASK, tools=[MESSAGES_TOOL], **fields)
    assert thinker.prompt().endswith(OFF) == off and budget_of(thinker) == budget
    thoughts = [block.thinking for block in reply.content if block.type == "thinking"]
    assert thoughts == ([] if shown is None else [shown])
    assert [block.type for block in reply.content][-2:] == ["text", "tool_use"]


def test_responses_have_reasoning_items_that_come_back(thinker: Talker) -> None:
    thinker.says(SAID, SAID, *["Done.</think>\n\nIt is short."] * 3)
    ask: Any = {"model": "any", "input": "hi", "tools": [RESPONSES_TOOL], "reasoning": {"effort": "low"}}
    whole = responses(thinker).create(**ask)
    thought, message, call = whole.output
    assert thought.type == "reasoning" and thought.content is not None
    assert (thought.content[0].text, thought.summary, thought.status) == (THOUGHT, [], "completed")
    assert message.type == "message" and call.type == "function_call"
    assert whole.reasoning is not None and whole.reasoning.effort == "low" and budget_of(thinker) == 1024
    assert whole.usage is not None and whole.usage.output_tokens_details.reasoning_tokens > 0
    with responses(thinker).stream(**ask) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_response()
    assert [item.type for item in streamed.output] == ["reasoning", "message", "function_call"]
    assert kinds.index("response.reasoning_text.delta") < kinds.index("response.reasoning_text.done")
    assert kinds.index("response.reasoning_text.done") < kinds.index("response.output_text.delta")
    generated = thinker.engine.generator.encoder.tokenizer.encode_marked(SAID, "\0")
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "x = 1"}
    items: Any = [*HI, *(item.to_dict() for item in whole.output), result]
    responses(thinker).create(**ask | {"input": items})
    responses(thinker).create(**ask | {"input": [result], "previous_response_id": whole.id})
    before = thinker.asked(-3).prompt
    for number in (-2, -1):
        assert thinker.asked(number).prompt[: len(before) + len(generated)] == (*before, *generated)
    # Neither made here nor followed by anything.
    items[0] = {"role": "user", "content": "hey"}
    items[1]["content"][0]["text"] = "Another thought"
    items.insert(0, {"type": "reasoning", "id": "rs_0", "summary": [], "content": items[1]["content"]})
    responses(thinker).create(**ask | {"input": items})
    assert thinker.prompt().count("<think>\nAnother thought\n</think>") == 1


def test_log_probabilities_of_a_thought_are_none_of_the_text(thinker: Talker) -> None:
    thinker.says("Hm.</think>one two")
    ask: Any = {"model": "any", "input": "hi", "include": ["message.output_text.logprobs"]}
    message = responses(thinker).create(**ask).output[1]
    assert message.type == "message" and message.content[0].type == "output_text"
    assert "".join(token.token for token in message.content[0].logprobs or []) == "one two"
