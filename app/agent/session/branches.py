"""The branches of a conversation: its log is only ever added to, and can yet be rewound.

Each record follows the one that was current when it was added. A Rewound record makes another one current. The
records thus form a tree in which nothing is lost; the active ones are those on the path from the root to the
current record.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.agent.session.records import (
    EffortSet,
    ModeSet,
    PermissionAnswered,
    Record,
    Rewound,
    TitleSet,
    ToolsOffered,
    TurnBegan,
)

# What holds for the whole session, on every branch.
_SESSION_WIDE = (TitleSet, ModeSet, EffortSet, PermissionAnswered, ToolsOffered)


@dataclass(frozen=True, slots=True)
class RewindPoint:
    """A point to rewind or fast-forward to. `position` is the number of the record there, -1 for the beginning.

    `turn` and `text` are the number and the first words of the turn that follows it. `ahead` is 0 for a point
    in the past: going there undoes that turn and all after it. A point with `ahead` n restores n undone turns,
    of which `turn` is the first.
    """

    position: int
    turn: int
    text: str
    ahead: int = 0


def _parents(records: Sequence[Record]) -> tuple[list[int], int]:
    """For each record the number of the one it follows, -1 for none; and the number of the current record.
    Raises ValueError for a damaged log."""
    parents = [-1] * len(records)
    current = -1
    for number, record in enumerate(records):
        if isinstance(record, Rewound):
            current = record.to
            if not -1 < current < number:
                raise ValueError(f"record {number} goes to {current}")
        elif not isinstance(record, _SESSION_WIDE):
            parents[number], current = current, number
    return parents, current


def _path(parents: Sequence[int], to: int) -> list[int]:
    path: list[int] = []
    while to >= 0:
        path.append(to)
        to = parents[to]
    return path[::-1]


def active(records: Sequence[Record]) -> tuple[Record, ...]:
    """The records on the current branch, with those that hold for the session. Raises ValueError for a damaged
    log."""
    if not any(isinstance(record, Rewound) for record in records):
        return tuple(records)
    parents, current = _parents(records)
    path = set(_path(parents, current))
    return tuple(
        record for number, record in enumerate(records) if number in path or isinstance(record, _SESSION_WIDE)
    )


def rewind_points(records: Sequence[Record]) -> tuple[RewindPoint, ...]:
    """One point before each turn of the current branch, oldest first; then the end of each undone branch, the
    one undone last at the end. Raises ValueError for a damaged log."""
    parents, current = _parents(records)
    path = _path(parents, current)
    found = [
        RewindPoint(parents[number], record.turn, record.text)
        for number in path
        if isinstance(record := records[number], TurnBegan)
    ]
    has_child = {current, *parents}
    on_path = set(path)
    for number, record in enumerate(records):
        if number in has_child or isinstance(record, (Rewound, *_SESSION_WIDE)):
            continue
        undone = [records[n] for n in _path(parents, number) if n not in on_path]
        turns = [record for record in undone if isinstance(record, TurnBegan)]
        if turns:
            found.append(RewindPoint(number, turns[0].turn, turns[0].text, len(turns)))
    return tuple(found)
