"""Where in its log a conversation stands: a log that is only ever added to, and can yet be gone back in.

Each record follows the one the conversation stood at when it was added. A "rewound" record says that it now
stands elsewhere, at the record with the number `to`. The records thus form a tree, nothing that was said is
ever lost, and what stands is the way from the root to where the conversation is now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]
# What holds for the session as a whole, wherever its conversation stands.
_BESIDE = ("title", "mode", "decision", "tools")


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere the conversation can be taken. `position` is what `go_to` takes.

    Behind it, `turn` and `text` are the turn that came next and the words it began with. `ahead` is 0 for a
    turn that stands, to be gone back on; else it is the number of turns that come to stand again by going
    there, and `turn` and `text` are the first of them.
    """

    position: int
    turn: int
    text: str
    ahead: int = 0


def _followed(records: Sequence[Record]) -> tuple[list[int], int]:
    """For each record the number of the one it follows, -1 for none; and where the conversation stands."""
    follows = [-1] * len(records)
    here = -1
    for number, record in enumerate(records):
        if record["kind"] == "rewound":
            here = record["to"]
            if not -1 < here < number:
                raise ValueError(f"record {number} goes to {here}")
        elif record["kind"] not in _BESIDE:
            follows[number], here = here, number
    return follows, here


def _way(follows: Sequence[int], to: int) -> list[int]:
    way: list[int] = []
    while to >= 0:
        way.append(to)
        to = follows[to]
    return way[::-1]


def standing(records: Sequence[Record]) -> tuple[Record, ...]:
    """The records that count where the conversation stands now. Raises ValueError for a damaged log."""
    if all(record["kind"] != "rewound" for record in records):
        return tuple(records)
    follows, here = _followed(records)
    way = set(_way(follows, here))
    return tuple(record for number, record in enumerate(records) if number in way or record["kind"] in _BESIDE)


def places(records: Sequence[Record]) -> tuple[Place, ...]:
    """Where the conversation can be taken: before each turn that stands, oldest first, and then to the end of
    what was gone back on, what was last said there last."""
    follows, here = _followed(records)
    way = _way(follows, here)
    found = [
        Place(follows[number], records[number]["turn"], records[number]["text"])
        for number in way
        if records[number]["kind"] == "turn"
    ]
    followed = {here, *follows}
    for number, record in enumerate(records):
        if number in followed or record["kind"] == "rewound" or record["kind"] in _BESIDE:
            continue
        stands = set(way)
        turns = [records[n] for n in _way(follows, number) if n not in stands and records[n]["kind"] == "turn"]
        if turns:
            found.append(Place(number, turns[0]["turn"], turns[0]["text"], len(turns)))
    return tuple(found)
