"""Another way of writing a hunk, put in its place by one decision.

The other way joins the weave as an edit whose lines do not count yet (`Offered`): so far nothing has changed.
One decision then takes the hunk's lines out and these in, with its intent in the log before the file is
touched, like every decision; what takes it back shifts both the other way.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from app.review.errors import ReviewError
from app.review.log.change_log import ReviewState
from app.review.log.decisions import AtomsByPath, places, rejectable, resolve, shifts_to, spare_existence
from app.review.log.entries import Decided, RejectedText, Shift, shift_of
from app.review.log.ledger import Ledger
from app.review.log.weave import compare
from app.review.model import FileImage


@dataclass(frozen=True, slots=True)
class Without:
    """The file at `path` without a hunk: the atoms that go with it, the shifts that take them out, the file
    then (None: there is none), and the serial number of the turn that made the hunk."""

    path: str
    chosen: AtomsByPath
    shifts: tuple[Shift, ...]
    image: FileImage | None
    turn: int


def without(state: ReviewState, hunk_id: str) -> Without:
    """The file of a hunk without all that the calls changed there which made it. Raises ReviewError when that
    cannot be taken out, or is no longer there."""
    parts = resolve(state, [hunk_id])
    path = parts[0].path
    file = state.files[path]
    blocks = file.weave.blocks
    edits = {blocks[name].edit for part in parts if part.path == path for name in part.blocks}
    live = frozenset[str]().union(*file.live())
    names = {name for name in live if blocks[name].edit in edits and blocks[name].owner == "agent"}
    chosen, blocked = rejectable(state, resolve(state, names))
    if blocked:
        raise ReviewError(f"You edited what would be replaced at {places(state, blocked)}", "it stays as it is")
    going, left = spare_existence(state, chosen)
    if not names or going.keys() != {path}:
        raise ReviewError("That change cannot be written otherwise", "reject it, and say what you want instead")
    shifts = (*shifts_to(state, going, "rejected"), *shifts_to(state, left, "pending"))
    turn = max(blocks[name].turn for name in names)
    return Without(path, going, shifts, file.weave.image(file.gone | going[path]), turn)


def put_instead(
    ledger: Ledger,
    found: Without,
    take: tuple[FileImage | None, FileImage],
    call: str,
    told: Iterable[RejectedText],
) -> None:
    """Make the file of a hunk the second image of `take`, which was made of the first, the file without the
    hunk. The agent hears of the lines that go, `told`, and of those in their place. Raises ReviewError and
    OSError."""
    path, (before, after) = found.path, take
    if found.image != before:
        raise ReviewError(f"{path} has changed meanwhile", "ask for other takes again")
    if after == before:
        raise ReviewError("This take changes nothing", "reject the hunk instead")
    if _takes_users_lines(ledger.state, found, after):
        raise ReviewError(f"This take would remove lines of your own in {path}", "take another one")
    edit = ledger.offer(path, before, after, without=found.chosen[path], turn=found.turn, call=call)
    file = ledger.state.files[path]
    atoms = frozenset(a for block in file.weave.blocks.values() if block.edit == edit for a in block.atoms)
    shifts = (*found.shifts, shift_of(path, "rejected", "pending", atoms))
    text = _added(ledger.state, path, edit)
    rejected = tuple(replace(one, instead=text) for one in told)
    sentence = f"Put another take in the place of a hunk of {path}"
    ledger.decide(Decided(0, sentence, shifts, rejected=rejected, is_take=True))


def _takes_users_lines(state: ReviewState, found: Without, after: FileImage) -> bool:
    file = state.files[found.path]
    tokens, blocks = file.weave.tokens, file.weave.blocks
    visible = file.weave.visible(file.gone | found.chosen[found.path])
    change = compare([tokens[place].data for place in visible], found.image, after)
    gone = (
        tokens[place].inserted for one in change.blocks for place in visible[one.before_start : one.before_end]
    )
    return any(atom is not None and blocks[atom[0]].owner == "user" for atom in gone)


def _added(state: ReviewState, path: str, edit: int) -> str:
    """The lines that an edit puts in, as a diff shows them."""
    tokens = state.files[path].weave.tokens
    lines = [token.data for token in tokens if token.inserted and token.inserted[0].startswith(f"{edit}.")]
    return "\n".join("+" + line.decode("utf-8", "replace").rstrip("\n") for line in lines) or "(lines removed)"
