"""Tool calls as models get them wrong, cut at random borders: nothing crashes, no call that a reader would
recognise is lost, and no markup is shown."""

import json
import random
import re

import pytest

from tests.mlx_model.chat.tools.test_tool_calls import SCHEMAS, Reply, call, parse

_WORDS = [
    "a",
    "src/main.py",
    "x = 1\n",
    "if a < b:\n    print('>')",
    "<div>\n</div>",
    "é✓\r\n",
    '{"k": [1]}',
    "",
    "  ",
]
_TAG = re.compile(r"</?(?:tool_call|function|parameter)\b[^>\n]*>?")
# A reader recognises a call by a line of its own that opens a function that there is.
_OPENING = re.compile(r"(?m)^[ \t]*<function=(edit|list)>[ \t]*$")


def _written(chance: random.Random) -> str:
    """A reply: words, then calls."""
    calls = []
    for _ in range(chance.randrange(1, 4)):
        keys = chance.sample(list(SCHEMAS["edit"]["properties"]), chance.randrange(0, 4))
        values = {key: chance.choice(_WORDS) for key in keys}
        calls.append(call(chance.choice(["edit", "edit", "list"]), **values))
    return chance.choice(["", "I will look.\n\n", "Two < three.\n"]) + chance.choice(["\n", "", "\n\n"]).join(
        calls
    )


def _mutated(text: str, chance: random.Random) -> str:
    """As models err: a tag missing, doubled or cut, white space lost or added, the end missing."""
    for _ in range(chance.randrange(0, 4)):
        tags = list(_TAG.finditer(text))
        if not tags:
            break
        tag = chance.choice(tags)
        wrong = ["", tag[0] * 2, f"{tag[0]}\n{tag[0]}", tag[0][:-1], f" {tag[0]} ", f"\r\n{tag[0]}"]
        replacement = chance.choice(wrong)
        text = text[: tag.start()] + replacement + text[tag.end() :]
    if chance.random() < 0.2:
        text = text[: chance.randrange(len(text) + 1)]
    return text


def _pieces(text: str, chance: random.Random) -> list[str]:
    pieces = []
    while text:
        size = chance.choice([1, 2, 3, 7, 20, 200])
        pieces.append(text[:size])
        text = text[size:]
    return pieces


def _check(seed: int) -> None:
    chance = random.Random(seed)
    text = _mutated(_written(chance), chance)
    truncated = chance.random() < 0.1
    reply = parse(_pieces(text, chance), truncated)
    assert reply == parse([text], truncated), (seed, text)
    assert not _TAG.search(reply.text), (seed, text, reply.text)
    if not truncated:
        assert all(isinstance(arguments, dict) for arguments in reply.arguments), (seed, text)
    _check_calls(seed, text, reply)


def _check_calls(seed: int, text: str, reply: Reply) -> None:
    """Every opening that a reader sees is a call, or stands in a value where nothing tells it from one."""
    seen = [found[1] for found in _OPENING.finditer(text)]
    told = " ".join(reply.raw)
    missing = len(seen) - sum(name in ("edit", "list") for name in reply.names)
    swallowed = sum(json.dumps(f"<function={name}>")[1:-1] in told for name in set(seen))
    assert missing <= 0 or swallowed, (seed, text, reply)


@pytest.mark.parametrize("batch", range(5))
def test_mutated_streams(batch: int) -> None:
    for seed in range(batch * 100, batch * 100 + 100):
        _check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(10))
def test_fifty_thousand_mutated_streams(batch: int) -> None:
    for seed in range(1000 + batch * 5000, 1000 + batch * 5000 + 5000):
        _check(seed)
