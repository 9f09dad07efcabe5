"""Searching in a conversation: where its items hold some words, and which of those places one is at."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from app.ui.drawing.text import matches
from app.ui.widgets.agent.transcript_items import Item

_PLAIN = Style()


@dataclass(frozen=True, slots=True)
class Place:
    """The `nth` line of `item`, from 0, that holds what is looked for."""

    item: Item
    nth: int


def holds(line: str, query: str) -> bool:
    """Whether `line` holds `query`, whose small letters match both."""
    return bool(matches(line, query, _PLAIN))


class TranscriptSearch:
    """The places of one query, oldest first. `at` is the one that was gone to, None before the first."""

    def __init__(self) -> None:
        self.query = ""
        self.places: list[Place] = []
        self.at: int | None = None

    def look(self, query: str, items: Sequence[Item]) -> None:
        """Find `query` in `items`; "" ends the search."""
        self.query, self.at = query, None
        self.places = []
        if query:
            for item in items:
                found = sum(holds(line, query) for line in item.source.split("\n"))
                self.places += [Place(item, nth) for nth in range(found)]

    def step(self, step: int) -> Place | None:
        """The next place, or the one before, around the ends; at first the newest."""
        if not self.places:
            return None
        self.at = len(self.places) - 1 if self.at is None else (self.at + step) % len(self.places)
        return self.places[self.at]

    @property
    def words(self) -> str:
        """Where it stands, for a person."""
        if not self.query:
            return ""
        if not self.places:
            return "not found"
        return f"{(self.at or 0) + 1} of {len(self.places):,}"


def rows_with(query: str, strips: Sequence[Strip]) -> list[int]:
    """The rows that hold `query`."""
    return [row for row, strip in enumerate(strips) if holds(strip.text, query)]


def mark(strip: Strip, query: str, style: Style) -> Strip:
    """`strip` with every `query` in it in `style`."""
    text = strip.text
    spans = matches(text, query, style)
    if not spans:
        return strip
    cuts = [cell_len(text[:at]) for start, end, _ in spans for at in (start, end)]
    pieces = strip.divide([*cuts, strip.cell_length])
    return Strip.join(
        [piece.apply_style(style) if number % 2 else piece for number, piece in enumerate(pieces)]
    )
