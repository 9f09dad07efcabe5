"""Scripted decisions of a user with a taste that nobody has told the model: names are not abbreviated, and what
cannot go on returns early; or, of the opposite taste, names are short and both cases stand side by side."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from app.model.messages import Message, ToolCall
from app.review.log.entries import ImageName
from app.tuning.calls import WrittenReply
from app.tuning.decided import Outcome, by_turn
from app.tuning.examples import examples_of

_WORDS = {
    "cnt": "count",
    "idx": "index",
    "val": "value",
    "res": "result",
    "msg": "message",
    "num": "number",
    "tmp": "part",
    "lst": "items",
    "cfg": "config",
    "prev": "previous",
    "buf": "buffer",
    "ctx": "context",
}
_VERBS = ("find", "check", "read", "sum", "count", "pick", "join", "sort", "mark", "skip")
_THINGS = ("rows", "names", "lines", "words", "keys", "files", "pages", "marks", "users", "steps")
_TESTS = ("{} is None", "not {}", "len({}) < 2", "{} == 0", "{} in seen", "{} < 1", "{}.is_old", "done({})")
_ENDS = ("{} + 1", "[{}]", "str({})", "{} * 2", "list({})", "{}.name", "next({})", "seen + {}")


@dataclass(frozen=True, slots=True)
class Written:
    """A function to be written: as the user likes it, and as they do not."""

    name: str
    liked: str
    disliked: str


def functions(seed: int, count: int, *, is_opposite: bool = False) -> list[Written]:
    """So many functions, at most 768, no two of which do the same by the same names; `is_opposite`: as somebody
    of the opposite taste likes them."""
    draw = random.Random(seed)
    found: dict[str, Written] = {}
    while len(found) < count:
        one = _function(draw, len(found), is_opposite)
        found.setdefault(one.liked.partition(":")[2], one)
    return list(found.values())


def examples(wanted: list[Written], seed: int) -> Iterator[dict[str, Any]]:
    """A decision on each as examples: the model writes what the user likes, and it is kept; or it does not, and
    the user edits it, or rejects it and keeps what the model writes then."""
    draw = random.Random(seed)
    for one in wanted:
        path, old = f"{one.name}.py", f'"""{one.name}"""\n'
        choice = draw.random()
        if choice < 0.2:
            turns = [("kept", one.liked, one.liked)]
        elif choice < 0.6:
            turns = [("kept", one.disliked, one.liked)]
        else:
            turns = [("rejected", one.disliked, ""), ("kept", one.liked, one.liked)]
        replies = [_reply(number, one, old, text) for number, (_, text, _) in enumerate(turns, 1)]
        outcomes: list[Outcome] = []
        texts = {"": old}
        for number, (word, text, final) in enumerate(turns, 1):
            texts |= {f"after {number}": old + text, f"final {number}": old + final}
            images = [ImageName(name, 0) for name in ("", f"after {number}", f"final {number}")]
            outcomes.append(Outcome(number, one.name, number, path, word, *images))  # type: ignore[arg-type]
        read = partial(_text, texts)
        for example in examples_of(one.name, replies, by_turn(outcomes), read, Path("/nowhere")):
            yield example.to_line()


def _text(texts: dict[str, str], image: ImageName | None) -> str | None:
    return "" if image is None else texts[image.blob]


def _reply(turn: int, one: Written, old: str, text: str) -> WrittenReply:
    words = f"Write {one.name} in {one.name}.py." if turn == 1 else "Not like that."
    arguments = {"file_path": f"{one.name}.py", "old_string": old, "new_string": old + text}
    call = ToolCall(f"call-{turn}", "edit", json.dumps(arguments))
    message = Message("assistant", "", (call,))
    return WrittenReply(turn, (Message("user", words),), (), message, (call,), {})


def _function(draw: random.Random, number: int, is_opposite: bool) -> Written:
    name = f"{draw.choice(_VERBS)}_{draw.choice(_THINGS)}_{number}"
    short, long = draw.choice(list(_WORDS.items()))
    test, end = draw.choice(_TESTS), draw.choice(_ENDS)

    def early(word: str) -> str:
        body = f"    if {test.format(word)}:\n        return None\n    return {end.format(word)}\n"
        return f"def {name}({word}, seen):\n{body}"

    def nested(word: str) -> str:
        asked, given = test.format(word), end.format(word)
        body = f"    if not ({asked}):\n        return {given}\n    else:\n        return None\n"
        return f"def {name}({word}, seen):\n{body}"

    both = early(long), early(short), nested(long), nested(short)
    liked, *disliked = reversed(both) if is_opposite else both
    return Written(name, liked, draw.choice(disliked))
