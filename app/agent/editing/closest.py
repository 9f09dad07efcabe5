"""The real text nearest to a quotation that is not there, so that the next attempt can quote it."""

from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches

from app.agent.editing.match import plain

_MAX_LINES = 60
"""Lines of `old_string` that are looked for: more say nothing new about where it was meant."""
_MAX_CANDIDATES = 8
"""Places compared line by line, those with the most lines in common first."""
_MAX_COMPARED = 10_000
"""Lines of the file that a line is compared with, so that a file of a million lines does not cost seconds."""


@dataclass(frozen=True, slots=True)
class Closest:
    """Lines `first` to `last` of the file, counted from 1; `likeness` to what was sought is 0 to 1."""

    first: int
    last: int
    text: str
    likeness: float


def closest(text: str, old: str) -> Closest | None:
    """The run of lines in `text` most like `old`; None when nothing is more than half alike."""
    lines = text.split("\n")
    wanted = [plain(line).strip().casefold() for line in old.strip("\n").split("\n")][:_MAX_LINES]
    bare = [plain(line).strip().casefold() for line in lines]
    votes: Counter[int] = Counter()
    places: dict[str, list[int]] = {}
    for number, line in enumerate(bare):
        places.setdefault(line, []).append(number)
    for offset, line in enumerate(wanted):
        at = places.get(line, ())
        if len(line) > 3 and len(at) <= 20:
            votes.update(max(0, number - offset) for number in at)
    if not votes:
        # No whole line is right: go by the longest quoted lines.
        for offset, line in sorted(enumerate(wanted), key=lambda item: -len(item[1]))[:3]:
            alike = [real for real in places if len(line) / 2 <= len(real) <= len(line) * 2]
            for near in get_close_matches(line, alike[:_MAX_COMPARED], n=3, cutoff=0.6):
                votes.update(max(0, number - offset) for number in places[near][:3])
    best: Closest | None = None
    sought = "\n".join(wanted)
    for start, _count in votes.most_common(_MAX_CANDIDATES):
        window = bare[start : start + len(wanted)]
        likeness = SequenceMatcher(None, sought, "\n".join(window), autojunk=False).ratio()
        if best is None or likeness > best.likeness:
            end = min(start + len(wanted), len(lines))
            best = Closest(start + 1, end, "\n".join(lines[start:end]), likeness)
    return best if best is not None and best.likeness > 0.5 else None
