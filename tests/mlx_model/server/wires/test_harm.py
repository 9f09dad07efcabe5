"""What published clients lost their sessions to, over OpenAI Responses and Anthropic Messages: very long output
of a tool, and a limit beyond the context. (tests/mlx_model/server/test_chat_completions.py has them for Chat
Completions; a prefill without an end is in each wire's own tests.)"""

from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.support.engine.scripted_generator import ScriptedEngine, scripted_engine
from tests.support.patience import LONGEST

EMOJI = "😀" * 60_000
ARGUMENTS: dict[str, Any] = {"file_path": "a.py"}


def prompt(engine: ScriptedEngine) -> bytes:
    return b"".join(map(engine.generator.encoder.tokenizer.bytes_of, engine.generator.requests[-1].prompt))


@pytest.mark.slow
def test_sixty_thousand_emoji_of_tool_output(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "Done", "Done", context_length=300_000) as engine:
        openai_client = openai.OpenAI(base_url=f"{engine.url}/v1", api_key="x", max_retries=0, timeout=LONGEST)
        call = {"type": "function_call", "call_id": "c", "name": "read_file", "arguments": "{}"}
        items: Any = [{"role": "user", "content": "hi"}, call]
        items.append({"type": "function_call_output", "call_id": "c", "output": EMOJI})
        assert openai_client.responses.create(model="any", input=items).output_text == "Done"
        assert EMOJI.encode() in prompt(engine)
        client = anthropic.Anthropic(base_url=engine.url, api_key="x", max_retries=0, timeout=LONGEST)
        use = {"type": "tool_use", "id": "c", "name": "read_file", "input": ARGUMENTS}
        turns: Any = [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": EMOJI}]},
        ]
        reply = client.messages.create(model="any", max_tokens=100, messages=turns)
        assert reply.content[0].to_dict()["text"] == "Done"
        assert EMOJI.encode() in prompt(engine)


def test_a_limit_of_32000_in_a_context_of_8192(checkpoint: Path) -> None:
    with scripted_engine(checkpoint, "a", "a", context_length=8192) as engine:
        openai_client = openai.OpenAI(base_url=f"{engine.url}/v1", api_key="x", max_retries=0, timeout=LONGEST)
        response = openai_client.responses.create(model="any", input="hi", max_output_tokens=32_000)
        assert response.status == "completed" and response.usage is not None
        room = 8192 - len(engine.generator.requests[-1].prompt)
        assert response.usage.to_dict()["max_tokens"] == engine.generator.requests[-1].max_tokens == room
        client = anthropic.Anthropic(base_url=engine.url, api_key="x", max_retries=0, timeout=LONGEST)
        hi: Any = [{"role": "user", "content": "hi"}]
        reply = client.messages.create(model="any", max_tokens=32_000, messages=hi)
        assert reply.stop_reason == "end_turn" and reply.usage.to_dict()["max_tokens"] == room
