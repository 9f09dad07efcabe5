"""Decisions of a review as examples: files of JSON lines in the published form of conversational examples, with
`prompt` and `completion`, or `prompt`, `chosen` and `rejected`, and perhaps `tools`."""

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlx_model.chat.prompt import PromptEncoder
from mlx_model.errors import RequestError
from mlx_model.tune.data.chats import arguments_read
from mlx_model.tune.data.texts import Example, Text

Decision = Mapping[str, Any]
"""A line of such a file."""


def is_reviewed(file: Path) -> bool:
    """Whether a file of JSON lines holds examples with a `prompt`. Raises RequestError."""
    for line in _lines(file):
        try:
            return "prompt" in json.loads(line)
        except (ValueError, TypeError):
            return False
    return False


def has_pairs(file: Path) -> bool:
    """Whether any of its examples says what is preferred to what. Raises RequestError."""
    return any("rejected" in decision for decision in read_decisions(file))


def read_decisions(file: Path) -> list[Decision]:
    """The examples of a file. Raises RequestError."""
    found = []
    for number, line in enumerate(_lines(file), 1):
        try:
            decision = json.loads(line)
            sides = ("chosen", "rejected") if "rejected" in decision else ("completion",)
            if not decision["prompt"] or any(decision[side][0]["role"] != "assistant" for side in sides):
                raise ValueError("a side is no message of the assistant")
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise RequestError(f"{file}, line {number} is no example with a prompt: {error}.") from None
        found.append(decision)
    return found


def encode_decision(encoder: PromptEncoder, decision: Decision, length: int) -> Example | None:
    """An example of one text, or of two, the preferred one first; the reply counts, with the token that ends
    it. Of a prompt that is too long the end is taken; None where a reply has no room in `length` tokens."""
    tools = decision.get("tools") or ()
    prompt = arguments_read(decision["prompt"])
    before = list(encoder.encode(prompt, tools).tokens)
    sides = ("chosen", "rejected") if "rejected" in decision else ("completion",)
    texts = []
    for side in sides:
        whole = list(encoder.encode([*prompt, *arguments_read(decision[side][:1])], tools).tokens)
        reply = whole[len(before) :]
        stops = encoder.tokenizer.stop_tokens
        reply = reply[: next((at + 1 for at, token in enumerate(reply) if token in stops), len(reply))]
        if len(reply) >= length or not reply:
            return None
        kept = before[max(0, len(before) + len(reply) - length) :]
        counted = [False] * len(kept) + [True] * len(reply)
        texts.append(Text(np.array([*kept, *reply], np.uint32), np.array(counted, np.bool_)))
    return tuple(texts)


def split_decisions(
    decisions: Sequence[Decision], share: float, seed: int
) -> tuple[list[Decision], list[Decision]]:
    """Those to train on, and the share (0 to 1) that is held out. What was decided in one turn stays together,
    for it is about the same lines. Raises RequestError where there are fewer than two turns."""
    turns: dict[tuple[object, object], list[Decision]] = {}
    for number, decision in enumerate(decisions):
        key = (decision.get("session", number), decision.get("turn"))
        turns.setdefault(key, []).append(decision)
    if len(turns) < 2:
        raise RequestError("One turn's decisions are too few to train on: others must be held out.")
    drawn = list(turns.values())
    random.Random(seed).shuffle(drawn)
    count = min(max(1, round(len(drawn) * share)), len(drawn) - 1)
    return [one for turn in drawn[count:] for one in turn], [one for turn in drawn[:count] for one in turn]


def told(decisions: Sequence[Decision], left_out: int) -> str:
    """A line for the card."""
    kinds = Counter(str(decision.get("kind", "other")) for decision in decisions)
    parts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    long = f"; {left_out} too long" if left_out else ""
    return f"{len(decisions):,} decisions of a review ({parts}{long})"


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{file} cannot be read as text: {error}.") from None
