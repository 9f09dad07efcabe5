"""Another way of writing a piece of the agent's work, put in its place by one decision.

The other way joins the weaves of its files as edits whose lines do not count yet (`Offered`): so far nothing
has changed. One decision then takes the piece's lines out and these in, with its intent in the log before a
file is touched, like every decision; what takes it back shifts both the other way.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from app.review.errors import ReviewError
from app.review.feedback import in_short
from app.review.log.change_log import ReviewState, TurnName
from app.review.log.decisions import AtomsByPath, places, rejectable, resolve, shifts_to, spare_existence
from app.review.log.entries import Decided, RejectedText, Shift, shift_of
from app.review.log.ledger import Ledger
from app.review.log.weave import Atom, BlockFacts, compare
from app.review.model import FileImage, printable_line

Files = Mapping[str, FileImage | None]
"""Files by path; None: there is none."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What is to be written again: the hunk with the id `hunk`, and whatever else its calls changed in its
    file; else what the turn with the serial number `turn` wrote, in the file `path` or, where that is "", in
    all. `turn` 0 is the last one that wrote into the file."""

    hunk: str = ""
    turn: int = 0
    path: str = ""


@dataclass(frozen=True, slots=True)
class PieceFacts:
    """What is known of a piece: its files without it (`before`) and as they are; by file the ids of the tool
    calls that wrote it there, oldest first, "" for one that is not known; and whose they are."""

    before: Files
    now: Files
    calls: Mapping[str, tuple[str, ...]]
    session: str
    turn: int

    def call_of(self, path: str) -> str:
        """The first known call that wrote in the file `path`, else in any; "" where there is none."""
        every = (*self.calls.get(path, ()), *(call for calls in self.calls.values() for call in calls))
        return next(filter(None, every), "")


@dataclass(frozen=True, slots=True)
class Without:
    """A piece with the atoms that go with it, the shifts that take them out, and the serial number of the last
    turn that wrote it."""

    facts: PieceFacts
    chosen: AtomsByPath
    shifts: tuple[Shift, ...]
    serial: int


def without(state: ReviewState, piece: Piece) -> Without:
    """A piece, and what takes it out. Raises ReviewError when that cannot be, or it is no longer there."""
    blocks = _blocks(state, piece)
    every = [block for found in blocks.values() for block in found]
    chosen, blocked = rejectable(state, resolve(state, [block.id for block in every]))
    if blocked:
        raise ReviewError(f"You edited what would be replaced at {places(state, blocked)}", "it stays as it is")
    going, left = spare_existence(state, chosen)
    if not blocks or going.keys() != blocks.keys():
        raise ReviewError("That change cannot be written otherwise", "reject it, and say what you want instead")
    serial = max(block.turn for block in every)
    if not piece.hunk and any(
        state.files[path].weave.blocks[name].turn > serial for path, atoms in going.items() for name, _ in atoms
    ):
        raise ReviewError("What later turns wrote rests on this", "have that written again first, or reject it")
    turns = {block.edit: block.turn for block in every}
    first = min((edit for edit in turns if state.calls.get(edit)), default=min(turns))
    name = state.turns.get(turns[first], TurnName("", 0, ""))
    facts = PieceFacts(
        before={path: state.files[path].weave.image(state.files[path].gone | going[path]) for path in blocks},
        now={path: state.files[path].image() for path in blocks},
        calls={
            path: tuple(state.calls.get(edit, "") for edit in sorted({block.edit for block in found}))
            for path, found in blocks.items()
        },
        session=name.session,
        turn=name.turn,
    )
    shifts = (*shifts_to(state, going, "rejected"), *shifts_to(state, left, "pending"))
    return Without(facts, going, shifts, serial)


def _blocks(state: ReviewState, piece: Piece) -> dict[str, list[BlockFacts]]:
    """The agent's blocks under review that a piece is made of, by file."""
    paths: Iterable[str] = [piece.path] if piece.path else state.files
    edits: set[int] | None = None
    if piece.hunk:
        parts = resolve(state, [piece.hunk])
        paths = [parts[0].path]
        blocks = state.files[parts[0].path].weave.blocks
        edits = {blocks[name].edit for part in parts if part.path == parts[0].path for name in part.blocks}
    found: dict[str, list[BlockFacts]] = {}
    for path in paths:
        file = state.files.get(path)
        if file is None:
            continue
        live = frozenset[str]().union(*file.live())
        own = [block for block in file.weave.blocks.values() if block.id in live and block.owner == "agent"]
        serial = piece.turn or max((block.turn for block in own), default=0)
        own = [block for block in own if (block.turn == serial if edits is None else block.edit in edits)]
        if own:
            found[path] = own
    return found


def put_instead(
    ledger: Ledger, piece: Piece, found: Without, take: tuple[Files, Files], told: Iterable[RejectedText]
) -> None:
    """Make the files of a piece, and others, the second of `take`, which was made of the first: the files
    without the piece, and the others as they are. The agent hears of the lines that go, `told`, and of those in
    their place. Raises ReviewError and OSError."""
    facts, (begun, after) = found.facts, take
    there = {path: facts.before[path] if path in facts.before else ledger.read(path) for path in begun}
    if other := [path for path in {*facts.before, *after} if path not in begun or there[path] != begun[path]]:
        raise ReviewError(f"{', '.join(sorted(other))} has changed meanwhile", "ask for other takes again")
    changed = {
        path: image for path, image in sorted(after.items()) if image is not None and image != begun[path]
    }
    if not changed:
        raise ReviewError("This take changes nothing", "reject what is there instead")
    for path, image in changed.items():
        if _takes_users_lines(ledger.state, found, path, image):
            raise ReviewError(f"This take would remove lines of your own in {path}", "take another one")
    shifts = list(found.shifts)
    texts: dict[str, str] = {}
    for path, image in changed.items():
        gone = found.chosen.get(path, frozenset())
        edit = ledger.offer(path, begun[path], image, without=gone, turn=found.serial, call=facts.call_of(path))
        blocks = ledger.state.files[path].weave.blocks.values()
        atoms = frozenset(atom for block in blocks if block.edit == edit for atom in block.atoms)
        shifts.append(shift_of(path, "rejected", "pending", atoms))
        texts[path] = _added(ledger.state, path, edit)
    sentence = f"Put another take in the place of {_name(piece, facts)}"
    rejected = tuple(_heard(list(told), texts))
    ledger.decide(Decided(0, sentence, tuple(shifts), rejected=rejected, is_take=True))


def _name(piece: Piece, facts: PieceFacts) -> str:
    if piece.hunk:
        return f"a hunk of {next(iter(facts.before))}"
    return f"what turn {facts.turn} wrote in {piece.path}" if piece.path else f"what turn {facts.turn} wrote"


def _takes_users_lines(state: ReviewState, found: Without, path: str, after: FileImage) -> bool:
    file = state.files.get(path)
    if file is None:
        return False
    tokens, blocks = file.weave.tokens, file.weave.blocks
    gone: frozenset[Atom] = file.gone | found.chosen.get(path, frozenset())
    visible = file.weave.visible(gone)
    change = compare([tokens[place].data for place in visible], file.weave.image(gone), after)
    makers = (
        tokens[place].inserted for one in change.blocks for place in visible[one.before_start : one.before_end]
    )
    return any(atom is not None and blocks[atom[0]].owner == "user" for atom in makers)


def _added(state: ReviewState, path: str, edit: int) -> str:
    """The lines that an edit puts in, as a diff shows them."""
    tokens = state.files[path].weave.tokens
    lines = [token.data for token in tokens if token.inserted and token.inserted[0].startswith(f"{edit}.")]
    told = ["+" + printable_line(line.decode("utf-8", "replace").removesuffix("\n")) for line in lines]
    return in_short(told) or "(lines removed)"


def _heard(told: Sequence[RejectedText], texts: Mapping[str, str]) -> Iterable[RejectedText]:
    """What the agent hears, file by file: what went and, from `texts`, what is there instead."""
    for path in dict.fromkeys([*(one.path for one in told), *texts]):
        gone = [one for one in told if one.path == path]
        if path not in texts:
            yield from gone
        elif gone:
            text = "\n".join(one.text for one in gone)
            yield replace(gone[0], text=text, instead=texts[path])
        else:
            yield RejectedText(path, 0, "(not changed)", texts[path])
