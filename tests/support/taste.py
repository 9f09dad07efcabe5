"""Scripted decisions of a user with a taste that nobody has told the model: names are not abbreviated, and what
cannot go on returns early."""

import random
from dataclasses import dataclass

from tests.support.reviewed_work import ReviewedWork

_WORDS = {
    "cnt": "count",
    "idx": "index",
    "val": "value",
    "res": "result",
    "msg": "message",
    "num": "number",
    "tmp": "part",
    "lst": "items",
}
_VERBS = ("find", "check", "read", "sum", "count", "pick", "join", "sort", "mark", "skip")
_THINGS = ("rows", "names", "lines", "words", "keys", "files", "pages", "marks", "users", "steps")
_TESTS = ("{} is None", "not {}", "len({}) < 2", "{} == 0", "{} in seen")
_ENDS = ("{} + 1", "[{}]", "str({})", "{} * 2", "list({})")


@dataclass(frozen=True, slots=True)
class Written:
    """A function to be written: as the user likes it, and as they do not."""

    name: str
    liked: str
    disliked: str


def functions(seed: int, count: int) -> list[Written]:
    """So many functions, no two of which are the same."""
    draw = random.Random(seed)
    found: dict[str, Written] = {}
    while len(found) < count:
        one = _function(draw, len(found))
        found.setdefault(one.liked.partition(":")[2], one)
    return list(found.values())


def decide_all(work: ReviewedWork, wanted: list[Written], seed: int) -> None:
    """A decision on each: the model writes what the user likes, and it is kept; or it does not, and the user
    edits it, or rejects it and keeps what the model writes then."""
    draw = random.Random(seed)
    for one in wanted:
        work.begin_session()
        path = f"{one.name}.py"
        work.write(path, f'"""{one.name}"""\n')
        words = f"Write {one.name} in {path}."
        old = f'"""{one.name}"""\n'
        choice = draw.random()
        if choice < 0.2:
            work.review.keep(work.reply((path, old, old + one.liked), words=words))
            continue
        hunks = work.reply((path, old, old + one.disliked), words=words)
        if choice < 0.6:
            work.write(path, old + one.liked)
            work.review.keep(hunks | work.pending())
        else:
            work.review.reject(hunks)
            work.review.keep(work.reply((path, old, old + one.liked), words="Not like that."))
        # What is settled leaves the review, so that it stays small.
        work.review.put_away()


def _function(draw: random.Random, number: int) -> Written:
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

    faults = draw.choice((0, 1, 2))
    disliked = (early(short), nested(long), nested(short))[faults]
    return Written(name, early(long), disliked)
