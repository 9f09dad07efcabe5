"""How sure the model was of what it wrote into a file: kept with the call, a few bytes a token.

Our engine tells of every token of a reply the characters it stands for, its probability, and its margin to the
most likely other token (mlx_model/server/wires/chat.py). Of these the tokens of `new_string` and `content` are
kept, each as three bytes: how many characters, and both numbers in 255 steps.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.model.events import TokenChance
from app.model.messages import ToolCall

WRITTEN = ("new_string", "content")
"""Arguments of tools whose text goes into a file."""
DOUBTFUL = 0.9
"""A line with a token less probable than this is doubtful: in 640 edits of the practice model, half of such
lines were wrong, and half of the wrong lines were among them (.github/docs/review.md has the curve)."""
_MOST = 255
_FAR = 100
"""Lines in which the next line is looked for, from the one found last on: a long file takes no longer."""

Packed = Mapping[str, Mapping[str, str]]
"""By the id of a call and the name of an argument: the tokens, as base64."""


@dataclass(frozen=True, slots=True)
class LineDoubt:
    """A line that the model wrote, or the part of one: its text, and the lowest probability (0 to 1) and margin
    (-1 to 1) among its tokens. `is_begun` and `is_ended`: the file's line begins and ends with the text."""

    text: str
    probability: float
    margin: float
    is_begun: bool = True
    is_ended: bool = True


def pack(calls: Sequence[ToolCall], tokens: Sequence[TokenChance]) -> Packed:
    """What is kept of a reply's tokens: of each of its calls what it writes, as far as that stands in the reply
    as it was written."""
    text = "".join(token.text for token in tokens)
    found: dict[str, dict[str, str]] = {}
    at = 0
    for call in calls:
        for name, value in _written(call).items():
            start = text.find(f"{name}>\n{value}\n", at)
            if start >= 0:
                at = start + len(name) + 2
                found.setdefault(call.id, {})[name] = _packed(tokens, at, at + len(value))
                at += len(value)
    return found


def _written(call: ToolCall) -> dict[str, str]:
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(arguments, dict):
        return {}
    return {name: arguments[name] for name in WRITTEN if isinstance(arguments.get(name), str)}


def _packed(tokens: Sequence[TokenChance], start: int, end: int) -> str:
    data = bytearray()
    at = 0
    for token in tokens:
        length = min(at + len(token.text), end) - max(at, start)
        at += len(token.text)
        chances = round(_MOST * _within(token.probability)), round(_MOST * _within((token.margin + 1) / 2))
        while length > 0:
            data += bytes((min(length, _MOST), *chances))
            length -= _MOST
    return base64.b64encode(data).decode("ascii")


def _within(number: float) -> float:
    return min(1.0, max(0.0, number))


def lines_of(arguments: str, packed: Mapping[str, str]) -> list[LineDoubt]:
    """The lines that a call with these arguments wrote, in order, without empty ones. What does not fit them is
    left out."""
    lines: list[LineDoubt] = []
    for name, value in _written(ToolCall("", "", arguments)).items():
        try:
            data = base64.b64decode(packed[name], validate=True)
        except (KeyError, ValueError):
            continue
        probabilities: list[float] = []
        margins: list[float] = []
        for length, probability, margin in zip(data[::3], data[1::3], data[2::3], strict=False):
            probabilities += [probability / _MOST] * length
            margins += [2 * margin / _MOST - 1] * length
        if len(probabilities) != len(value):
            continue
        start = 0
        texts = value.split("\n")
        for number, text in enumerate(texts):
            # The line feed belongs to the line: that it ends there was the model's choice too.
            end = min(start + len(text) + 1, len(value))
            if text:
                is_last = name == "new_string" and number == len(texts) - 1
                lines.append(
                    LineDoubt(
                        text,
                        min(probabilities[start:end]),
                        min(margins[start:end]),
                        is_begun=name == "content" or number > 0,
                        is_ended=not is_last,
                    )
                )
            start += len(text) + 1
    return lines


def doubt_of(written: Sequence[LineDoubt], added: Sequence[str]) -> list[LineDoubt | None]:
    """For each of the lines that a call added to a file, in order, what is known of how it was written; None
    for one that is not found among them."""
    found: list[LineDoubt | None] = []
    at = 0
    for line in added:
        near = range(at, min(at + _FAR, len(written)))
        match = next((n for n in near if _is_of(written[n], line)), None)
        found.append(None if match is None else written[match])
        if match is not None:
            at = match + 1
    return found


def _is_of(written: LineDoubt, line: str) -> bool:
    # An edit whose old text was found with another indentation was indented anew.
    text, line = written.text.strip(), line.strip()
    if not text:
        return False
    if written.is_begun and written.is_ended:
        return line == text
    if written.is_begun:
        return line.startswith(text)
    return line.endswith(text) if written.is_ended else text in line
