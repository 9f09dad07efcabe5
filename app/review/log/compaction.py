"""Compaction of a review's log: closed decisions are dropped; those that can still be made, undone or rewound
are kept, and the log folds to the same state as before.

Replaying an edit depends on which atoms were rejected then. So a file that can still be decided keeps its edits
unchanged, each preceded by a `Stood` record that restores them. Everything else becomes one `Compacted`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict

from app.review.log.change_log import ReviewState
from app.review.log.entries import Compacted, Decided, Edited, Entry, ImageName, Stood, encode, single
from app.review.model import FileImage

# How much can be undone and rewound after a compaction; chosen, not measured.
MOST_DECISIONS = 100
MOST_TURNS = 100
"""Turns that can be rewound to after a log was compacted."""
MOST_BYTES = 512 * 1024 * 1024  # of the contents that they need


def compact(
    entries: Iterable[Entry],
    content: Callable[[ImageName | None], FileImage | None],
    size: Callable[[str], int],
) -> list[Entry]:
    """Shorter entries that fold to the same state; no turn, decision or commit may be open. `content` reads an
    image, `size` gives a blob's length in bytes."""
    state = ReviewState()
    edits: dict[str, list[Entry]] = {}
    for entry in single(entries):
        if isinstance(entry, Edited):
            file = state.files.get(entry.path)
            if file:
                edits[entry.path].append(Stood.of(entry.path, file.standing))
            edits.setdefault(entry.path, []).append(entry)
        state.apply(entry, content)
        for path in [path for path in edits if path not in state.files]:
            del edits[path]
    undoable, redoable = state.undoable[-MOST_DECISIONS:], state.redoable[-MOST_DECISIONS:]
    result: list[Entry] = []
    for path in _open(state, (*undoable, *redoable)):
        result += edits[path]
        result.append(Stood.of(path, state.files[path].standing, state.files[path].untraced))
    result.append(_rest(state, undoable, redoable, size))
    return result


def _open(state: ReviewState, decisions: Collection[Decided]) -> list[str]:
    """The files that something can still be decided, undone or brought back in."""
    decided = {shift.path for decision in decisions for shift in decision.shifts}
    found = {path for path, file in state.files.items() if path in decided or not file.is_over()}
    for path, file in state.files.items():
        if file.origin and file.origin.path in state.files and {path, file.origin.path} & found:
            found |= {path, file.origin.path}
    return [path for path in state.files if path in found]


def _rest(
    state: ReviewState, undoable: list[Decided], redoable: list[Decided], size: Callable[[str], int]
) -> Compacted:
    live = {block.turn for file in state.files.values() for block in file.weave.blocks.values()}
    recent = _recent(state, size)
    turns = {serial: name for serial, name in state.turns.items() if serial in live or serial in recent}
    firsts = {serial: paths for serial, paths in state.firsts.items() if serial in recent}
    known = {path for paths in firsts.values() for path in paths} | state.files.keys()
    return Compacted(
        serial=state.serial,
        edits=state.edits,
        numbers=state.numbers,
        head=state.head,
        turns=[[serial, asdict(name)] for serial, name in turns.items()],
        told=[[serial, asdict(told)] for serial, told in state.told.items() if serial in turns],
        images={path: _plain(image) for path, image in state.images.items() if path in known},
        firsts=[
            [serial, {path: _plain(image) for path, image in paths.items()}] for serial, paths in firsts.items()
        ],
        comments=[asdict(comment) for comment in state.comments.values()],
        unsaid_comments=list(state.unsaid_comments),
        unsaid_rejections=[
            [number, [asdict(text) for text in texts]] for number, texts in state.unsaid_rejections.items()
        ],
        undoable=[encode(decision).decode() for decision in undoable],
        redoable=[encode(decision).decode() for decision in redoable],
    )


def _recent(state: ReviewState, size: Callable[[str], int]) -> frozenset[int]:
    """The newest turns, as many as there is room for the files they found."""
    found: set[int] = set()
    seen: set[str] = set()
    total = 0
    for serial in sorted(state.turns, reverse=True)[:MOST_TURNS]:
        names = {name.blob for name in state.firsts.get(serial, {}).values() if name} - seen
        total += sum(map(size, names))
        if total > MOST_BYTES:
            break
        seen |= names
        found.add(serial)
    return frozenset(found)


def _plain(image: ImageName | None) -> Mapping[str, object] | None:
    return asdict(image) if image else None


def blobs(entries: Iterable[Entry]) -> Iterator[str]:
    """The names of all contents that entries speak of."""
    for entry in entries:
        match entry:
            case Edited():
                yield from (name.blob for name in (entry.before, entry.after) if name)
            case Compacted():
                for images in (entry.images, *(paths for _, paths in entry.firsts)):
                    yield from (image["blob"] for image in images.values() if image)
                yield from blobs(entry.decisions((*entry.undoable, *entry.redoable)))
            case Decided():
                for write in entry.writes:
                    yield from (name.blob for name in (write.before, write.after) if name)
