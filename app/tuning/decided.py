"""What became of each edit of the agent's, from the entries of a review's log. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.review.log.entries import (
    BroughtBack,
    Commented,
    Compacted,
    Decided,
    Edited,
    Entry,
    ImageName,
    RolledBack,
    Standing,
    Stood,
    TakenBack,
    TurnBegan,
    Voided,
    single,
)
from app.review.log.weave import META, Atom

Word = Literal["kept", "rejected", "mixed"]
_WORDS: dict[Standing, Standing] = {"kept": "kept", "settled": "kept", "rejected": "rejected", "void": "void"}
"""What a standing says of the user's decision: a commit settles what was kept, and void is what the user took
out by hand, which is a decision where another on the same edit follows."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An edit that the user has decided on as a whole. `before` and `after` are the file's images around the
    edit, `final` its image when the last decision on the edit was made; None: no such file. `comments` are the
    user's words on its hunks."""

    edit: int
    session: str
    turn: int
    path: str
    word: Word
    before: ImageName | None
    after: ImageName | None
    final: ImageName | None
    comments: tuple[str, ...] = ()


@dataclass(slots=True)
class _Open:
    entry: Edited
    words: dict[Atom, Standing] = field(default_factory=dict)
    final: ImageName | None = None


def outcomes(entries: Iterable[Entry]) -> list[Outcome]:
    """The edits of the agent's on whose every line the user has decided, in the order they were made."""
    known = list(single(entries))
    refused = {entry.decision for entry in known if isinstance(entry, RolledBack)}
    edits: dict[int, _Open] = {}
    turns: dict[int, tuple[str, int]] = {}
    images: dict[str, ImageName | None] = {}
    comments: dict[int, tuple[str, str]] = {}
    for entry in known:
        match entry:
            case TurnBegan():
                turns[entry.serial] = entry.session, entry.turn
            case Edited():
                images[entry.path] = entry.after
                if entry.owner == "agent" and not entry.moved_from:
                    edits[entry.edit] = _Open(entry, final=entry.after)
            case Voided():
                edits.pop(entry.edit, None)
            case Decided() if entry.decision not in refused:
                images.update((write.path, write.after) for write in entry.writes)
                for shift in entry.shifts:
                    _note(edits, shift.atoms, shift.target, images.get(shift.path))
            case TakenBack():
                _note(edits, entry.atoms, "void", images.get(entry.path))
            case BroughtBack():
                for one in edits.values():
                    if one.entry.path == entry.path:
                        one.words = {atom: word for atom, word in one.words.items() if word != "void"}
            case Stood():
                for name, number, word in entry.standing:
                    _note(edits, ((name, (number,)),), word, images.get(entry.path))
            case Commented():
                comments[entry.comment] = entry.hunk, entry.text
            case Compacted():
                turns.update((serial, (name["session"], name["turn"])) for serial, name in entry.turns)
                comments.update((one["comment"], (one.get("hunk", ""), one["text"])) for one in entry.comments)
            case _:
                pass
    return [
        outcome
        for one in edits.values()
        if (outcome := _outcome(one, turns, list(comments.values()))) is not None
    ]


def _note(
    edits: dict[int, _Open],
    atoms: Iterable[tuple[str, tuple[int, ...]]],
    target: Standing,
    image: ImageName | None,
) -> None:
    word = _WORDS.get(target)
    for block, numbers in atoms:
        one = edits.get(int(block.partition(".")[0]))
        if one is None:
            continue
        one.final = image
        for number in numbers:
            if word is None:
                one.words.pop((block, number), None)
            else:
                one.words[block, number] = word


def _outcome(
    one: _Open, turns: dict[int, tuple[str, int]], comments: Sequence[tuple[str, str]]
) -> Outcome | None:
    entry = one.entry
    lines = sum(before[1] - before[0] + before[3] - before[2] for before in entry.blocks)
    decided = [word for (_, number), word in one.words.items() if number != META]
    if entry.turn not in turns or not lines or len(decided) < lines:
        return None
    words = set(decided) - {"void"}
    if not words:
        return None
    word: Word = "mixed" if len(words) > 1 else "kept" if words == {"kept"} else "rejected"
    session, turn = turns[entry.turn]
    said = tuple(text for hunk, text in comments if text and entry.edit in _edits_of(hunk))
    return Outcome(entry.edit, session, turn, entry.path, word, entry.before, entry.after, one.final, said)


def _edits_of(hunk: str) -> set[int]:
    """The edits of a hunk, whose id names its blocks."""
    names = hunk.partition(":")[0].split("+")
    return {int(edit) for edit, _, _ in (name.partition(".") for name in names) if edit.isdigit()}


def by_turn(found: Iterable[Outcome]) -> dict[tuple[str, int], list[Outcome]]:
    """Outcomes by session and turn, in the order of the edits."""
    grouped: dict[tuple[str, int], list[Outcome]] = defaultdict(list)
    for outcome in found:
        grouped[outcome.session, outcome.turn].append(outcome)
    return dict(grouped)
