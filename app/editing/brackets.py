"""The bracket that belongs to another."""

import re
from collections.abc import Iterator, Sequence

_PARTNERS = {"(": ")", "[": "]", "{": "}"}
_OPENERS = {closing: opening for opening, closing in _PARTNERS.items()}
_FARTHEST = 2_000
"""Lines that are searched in one direction: more than a screen has to show, and soon done at every key."""


def matching_bracket(lines: Sequence[str], row: int, column: int) -> tuple[int, int] | None:
    """Line and character of the bracket that belongs to the one there; None if there is none, or it is far.
    Counts brackets of the same kind, wherever they stand."""
    here = lines[row][column : column + 1] if row < len(lines) else ""
    partner = _PARTNERS.get(here) or _OPENERS.get(here)
    if partner is None:
        return None
    either = re.compile(f"[{re.escape(here + partner)}]")
    depth = 0
    for at_row, at in _places(lines, row, column, either, forwards=here in _PARTNERS):
        depth += 1 if lines[at_row][at] == here else -1
        if not depth:
            return at_row, at
    return None


def _places(
    lines: Sequence[str], row: int, column: int, either: re.Pattern[str], *, forwards: bool
) -> Iterator[tuple[int, int]]:
    if forwards:
        for number in range(row, min(len(lines), row + _FARTHEST)):
            for found in either.finditer(lines[number], column if number == row else 0):
                yield number, found.start()
        return
    for number in range(row, max(-1, row - _FARTHEST), -1):
        end = column + 1 if number == row else len(lines[number])
        for found in reversed(list(either.finditer(lines[number], 0, end))):
            yield number, found.start()
