"""OpenAI Completions, with OpenAI's own client."""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.mlx_model.server.wires.conftest import Talker
from tests.support.engine.scripted_generator import scripted_engine
from tests.support.patience import LONGEST

FIM = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")


def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="sesame", max_retries=0, timeout=LONGEST)


def test_text_goes_on_whole_and_streamed(talker: Talker) -> None:
    talker.says(" there", " there", "one two")
    ask: Any = {"model": "any", "prompt": "Hello<|im_end|>", "max_tokens": 50}
    completions = client(talker.engine.url).completions
    whole = completions.create(**ask)
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == (" there", "stop")
    assert talker.prompt() == "Hello<|im_end|>"
    assert talker.asked().prompt[-1] in talker.asked().stop_tokens, "a control token that is spelled is one"
    chunks = list(completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == " there"
    assert chunks[-1].usage is not None and whole.usage is not None
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    stopped = completions.create(**ask, stop="e t", echo=True)
    assert stopped.choices[0].text == "Hello<|im_end|>on"


def test_several_prompts_and_choices(talker: Talker) -> None:
    talker.says("a", "b", "c", "d")
    completions = client(talker.engine.url).completions
    reply = completions.create(model="any", prompt=[[40, 41], [42]], n=2, seed=5)
    assert [(choice.index, choice.text) for choice in reply.choices] == list(enumerate("abcd"))
    assert [len(talker.asked(number).prompt) for number in (-4, -3, -2, -1)] == [2, 2, 1, 1]
    assert [talker.asked(number).sampling.seed for number in (-4, -3, -2, -1)] == [5, 6, 5, 6]
    assert talker.asked().max_tokens == 16
    assert reply.usage is not None and reply.usage.prompt_tokens == 3


def test_the_middle_between_prompt_and_suffix(talker: Talker, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(openai.BadRequestError, match="suffix: this model has no tokens"):
        client(talker.engine.url).completions.create(model="any", prompt="a", suffix="b")
    model = Path(shutil.copytree(checkpoint, tmp_path / "model"))
    described = json.loads((model / "tokenizer.json").read_text())
    last = described["added_tokens"][-1]
    for number, text in enumerate(FIM, 1):
        described["added_tokens"].append({**last, "id": last["id"] + number, "content": text})
    (model / "tokenizer.json").write_text(json.dumps(described))
    with scripted_engine(model, "middle") as engine:
        reply = client(engine.url).completions.create(model="any", prompt="a <|fim_suffix|>", suffix="b")
        assert reply.choices[0].text == "middle"
        (asked,) = engine.generator.requests
        tokenizer = engine.generator.encoder.tokenizer
        text = b"".join(map(tokenizer.bytes_of, asked.prompt)).decode()
        assert text == "<|fim_prefix|>a <|fim_suffix|><|fim_suffix|>b<|fim_middle|>"
        suffix = tokenizer.control_tokens["<|fim_suffix|>"]
        assert asked.prompt.count(suffix) == 1, "the prompt's own is text"
        assert suffix in asked.stop_tokens


def test_log_probabilities_in_columns(talker: Talker) -> None:
    talker.says("one two", "one two")
    ask: Any = {"model": "any", "prompt": "a", "logprobs": 1}
    completions = client(talker.engine.url).completions
    whole = completions.create(**ask).choices[0]
    columns = whole.logprobs
    assert columns is not None and columns.tokens is not None and columns.text_offset is not None
    assert "".join(columns.tokens) == whole.text == "one two"
    assert all(
        whole.text[at:].startswith(text) for at, text in zip(columns.text_offset, columns.tokens, strict=True)
    )
    assert columns.token_logprobs == [-float(count + 1) for count in range(len(columns.tokens))]
    chunks = [chunk.choices[0].logprobs for chunk in completions.create(**ask, stream=True)]
    assert [at for each in chunks if each for at in each.text_offset or ()] == columns.text_offset


def test_a_long_prefill_is_kept_alive(talker: Talker) -> None:
    talker.says("")
    body, headers = {"prompt": "a", "stream": True}, {"authorization": "Bearer sesame"}
    url = f"{talker.engine.url}/completions"
    with httpx2.stream("POST", url, json=body, headers=headers, timeout=LONGEST) as response:
        assert any(line.startswith(":") for line in response.iter_lines())
    assert talker.engine.generator.cancelled.acquire(timeout=LONGEST), "a client that leaves ends its reply"


def test_what_cannot_be_done_is_refused_by_name(talker: Talker) -> None:
    completions = client(talker.engine.url).completions
    for wrong, word in (
        ({"best_of": 3}, "best_of"),
        ({"echo": True, "logprobs": 1}, "logprobs"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
    ):
        ask: Any = {"model": "any", "prompt": "a", **wrong}
        talker.says("x")
        with pytest.raises(openai.BadRequestError, match=word):
            completions.create(**ask)
