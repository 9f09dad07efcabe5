"""The checkpoint that is shipped, in the engine."""

import json
from pathlib import Path

import mlx.core as mx

from mlx_model.chat.template import ChatTemplate
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.engine.loading import load
from mlx_model.model import Qwen3Next

SHIPPED = Path(__file__).parents[3] / "assets" / "practice-model"


def test_shipped_checkpoint_tells_the_whole_edit() -> None:
    """Every token of sentence and call is the likeliest after those before it."""
    loaded = load(SHIPPED)
    assert isinstance(loaded.model, Qwen3Next) and loaded.model.mtp is not None
    tokenizer = Tokenizer.from_directory(SHIPPED)
    template = ChatTemplate.from_directory(SHIPPED, {})
    messages = json.loads((Path(__file__).with_name("solved.json")).read_text())
    prompt = template.render(messages[:-1])
    reply = template.render(messages)[len(prompt) :].partition("<|im_end|>")[0] + "<|im_end|>"
    prompt_tokens = tokenizer.encode_marked(prompt, "\0")
    reply_tokens = tokenizer.encode_marked(reply, "\0")
    logits = loaded.model.logits(mx.array([prompt_tokens + reply_tokens]), loaded.model.state())
    told = mx.argmax(logits[0, len(prompt_tokens) - 1 : -1], axis=-1).tolist()
    assert told == reply_tokens


def test_shipped_checkpoint_is_small() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= 12_000_000
