"""How decisions are put in words."""

from collections.abc import Sequence

from app.review.log.decisions import LinesOf


def count(number: int, noun: str) -> str:
    """ "1 hunk", "2 hunks"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def what_of(hunks: int, lines: Sequence[LinesOf]) -> str:
    """What a decision is about: "2 hunks", "3 lines of a.py", "1 hunk and 3 lines"."""
    words = [count(hunks, "hunk")] if hunks else []
    if lines:
        paths = {one.path for one in lines}
        place = f" of {paths.pop()}" if len(paths) == 1 and not hunks else ""
        words.append(count(sum(one.count for one in lines), "line") + place)
    return " and ".join(words)


def lower(sentence: str) -> str:
    """A sentence as a part of another."""
    return sentence[:1].lower() + sentence[1:]
