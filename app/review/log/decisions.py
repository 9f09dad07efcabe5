"""What a decision means: from hunk ids to atoms, and from atoms to files. Reads the state, changes nothing."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from app.review.display import KEPT_MARK, REJECTED_MARK, Shown, live_atoms, show
from app.review.errors import ReviewError
from app.review.log.change_log import ReviewState
from app.review.log.entries import Shift, Standing, shift_of
from app.review.log.file_state import FileState
from app.review.log.weave import META, Atom
from app.review.model import FileImage

AtomsByPath = dict[str, frozenset[Atom]]


@dataclass(frozen=True, slots=True)
class HunkBlocks:
    """The blocks of one file that one hunk id names; `only_kept` when it names the kept half of blocks that are
    decided in part."""

    id: str
    path: str
    blocks: frozenset[str]
    only_kept: bool


def resolve(state: ReviewState, ids: Iterable[str]) -> list[HunkBlocks]:
    """The parts that ids name. An id from before other changes came to its hunk still names what it named.
    Raises ReviewError for one that names nothing any more."""
    places = {name: path for path, file in state.files.items() for name in file.weave.blocks}
    parts: list[HunkBlocks] = []
    for hunk_id in sorted(ids):
        found: defaultdict[str, set[str]] = defaultdict(set)
        for name in hunk_id.removesuffix(KEPT_MARK).removesuffix(REJECTED_MARK).split("+"):
            if name not in places:
                raise ReviewError("That change is no longer under review", "look at the hunks again")
            found[places[name]].add(name)
        parts += [
            HunkBlocks(hunk_id, path, frozenset(names), hunk_id.endswith(KEPT_MARK))
            for path, names in found.items()
        ]
    return parts


def _with_other_halves(state: ReviewState, parts: list[HunkBlocks], keeps: bool) -> list[HunkBlocks]:
    """Parts, and where one of them is or needs one half of a rename, the other half."""
    result = list(parts)
    for old, (new, origin) in state.moves().items():
        halves = {old: origin.removal, new: origin.arrival}
        named = {
            part.path: part for part in parts if part.path in halves and _reaches(state, part, halves, keeps)
        }
        for path, other in ((old, new), (new, old)):
            if path in named:
                result.append(
                    HunkBlocks(named[path].id, other, frozenset({halves[other]}), named[path].only_kept)
                )
    return result


def _reaches(state: ReviewState, part: HunkBlocks, halves: Mapping[str, str], keeps: bool) -> bool:
    file = state.files[part.path]
    return halves[part.path] in (file.below(part.blocks) if keeps else part.blocks)


def by_file(state: ReviewState, parts: Iterable[HunkBlocks]) -> Iterator[tuple[str, FileState, frozenset[str]]]:
    """Parts put together by file."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for part in parts:
        found[part.path] |= part.blocks
    for path, names in found.items():
        yield path, state.files[path], frozenset(names)


def keepable(state: ReviewState, parts: Iterable[HunkBlocks]) -> AtomsByPath:
    """The pending atoms of parts and of what they rest on."""
    wanted = _with_other_halves(state, list(parts), keeps=True)
    return {
        path: live_atoms(file, file.below(names) & file.live()[1], False)
        for path, file, names in by_file(state, wanted)
    }


def restorable(state: ReviewState, parts: Iterable[HunkBlocks]) -> AtomsByPath:
    """The rejected atoms of parts and of what they rest on."""
    found: AtomsByPath = {}
    for path, file, names in by_file(state, parts):
        traced = file.traced()
        wanted = set(names)
        for block in reversed(file.weave.blocks.values()):
            if block.id in wanted:
                wanted.update(
                    name for name in block.rests_on if not file.weave.blocks[name].atoms.isdisjoint(traced)
                )
        found[path] = frozenset(atom for atom in traced if atom[0] in wanted)
    return found


def rejectable(state: ReviewState, parts: Iterable[HunkBlocks]) -> tuple[AtomsByPath, list[HunkBlocks]]:
    """The atoms of parts and of all that rests on them, and the parts that a user's own edit rests on: those
    cannot be taken away without taking that."""
    asked = list(parts)
    grouped: defaultdict[str, list[HunkBlocks]] = defaultdict(list)
    for part in _with_other_halves(state, asked, keeps=False):
        grouped[part.path].append(part)
    pinned = {
        half
        for old, (new, origin) in state.moves().items()
        for half in (origin.removal, origin.arrival)
        if {origin.removal} & _under_users(state.files[old])
        or {origin.arrival} & _under_users(state.files[new])
    }
    chosen: AtomsByPath = {}
    blocked: list[HunkBlocks] = []
    for path, members in grouped.items():
        file = state.files[path]
        under = _under_users(file) | pinned
        blocked += [part for part in members if part.blocks & under and part in asked]
        atoms = _atoms_of(file, [part for part in members if not part.blocks & under])
        if atoms:
            chosen[path] = atoms
    return chosen, blocked


def _under_users(file: FileState) -> frozenset[str]:
    """The user's own blocks and what they rest on."""
    blocks = file.weave.blocks.values()
    return file.below(block.id for block in blocks if block.owner == "user" and file.counts(block))


def _atoms_of(file: FileState, parts: Iterable[HunkBlocks]) -> frozenset[Atom]:
    """The live atoms of parts and of what rests on them."""
    kept, pending = file.live()
    above = file.above(name for part in parts for name in part.blocks)
    halves = {True: live_atoms(file, above & kept, True), False: live_atoms(file, above & pending, False)}
    # An id names one half of a block that was decided by line; the other half stays, unless it is named too.
    named: dict[bool, set[str]] = {True: set(), False: set()}
    for part in parts:
        named[part.only_kept] |= part.blocks
    spared = {
        atom
        for kept_half, atoms in halves.items()
        for atom in atoms
        if atom[0] in kept & pending and atom[0] in named[not kept_half] and atom[0] not in named[kept_half]
    }
    return (halves[True] | halves[False]) - spared


@dataclass(frozen=True, slots=True)
class LinesOf:
    """Some lines of a hunk, as the atoms that made them; `is_everything` when no other changed line is left."""

    hunk_id: str
    path: str
    atoms: frozenset[Atom]
    count: int
    is_everything: bool


def lines_of(state: ReviewState, hunk_id: str, lines: Set[int]) -> LinesOf:
    """These lines of a hunk. Raises ReviewError when it is no longer shown as it was."""
    path, shown = _find(state, hunk_id)
    if not all(0 <= number < len(shown.atoms) for number in lines):
        raise ReviewError("Those lines are no longer there", "look at the hunk again")
    atoms = frozenset(atom for number in lines for atom in shown.atoms[number])
    everything = all(number in lines for number, made in enumerate(shown.atoms) if made)
    return LinesOf(hunk_id, path, atoms, len(lines), everything)


def united(atoms: AtomsByPath, more: AtomsByPath) -> AtomsByPath:
    """The atoms of both."""
    none: frozenset[Atom] = frozenset()
    return {path: atoms.get(path, none) | more.get(path, none) for path in (*atoms, *more)}


def _find(state: ReviewState, hunk_id: str) -> tuple[str, Shown]:
    for part in resolve(state, [hunk_id]):
        shown_file = show(part.path, state.files[part.path])
        for shown in shown_file.shown if shown_file else ():
            if shown.hunk.id == hunk_id:
                return part.path, shown
    raise ReviewError("That hunk has changed", "look at it again")


def with_existence(file: FileState, atoms: frozenset[Atom]) -> frozenset[Atom]:
    """Lines to keep, with the creation of the file that they are in."""
    names = file.below({name for name, _ in atoms})
    return atoms | {(name, META) for name in names if file.weave.blocks[name].meta and makes_file(file, name)}


def with_arrival(state: ReviewState, path: str, atoms: frozenset[Atom]) -> AtomsByPath:
    """Lines of a file to keep, with what makes the file exist: its creation, or both halves of its rename."""
    found = {path: with_existence(state.files[path], atoms)}
    for old, (new, origin) in state.moves().items():
        if new == path and (origin.arrival, META) in found[path]:
            found[old] = state.files[old].weave.blocks[origin.removal].atoms
    return found


def spare_existence(state: ReviewState, chosen: AtomsByPath) -> tuple[AtomsByPath, AtomsByPath]:
    """What is to be rejected without the creation of files of which lines are still pending; and those
    creations, which were kept for the sake of lines that go, and are pending again."""
    going: AtomsByPath = {}
    left: AtomsByPath = {}
    for path, atoms in chosen.items():
        file = state.files[path]
        spared = frozenset(
            (name, META)
            for name, number in atoms
            if number == META
            and makes_file(file, name)
            and any(
                atom not in atoms and atom[1] != META and file.standing.get(atom, "pending") == "pending"
                for atom in file.weave.blocks[name].atoms
            )
        )
        going[path] = atoms - spared
        if spared:
            left[path] = spared
    return going, left


def with_return(file: FileState, atoms: frozenset[Atom]) -> frozenset[Atom]:
    """Lines to reject, with the removals of the file that they come back to."""
    blocks = file.weave.blocks
    if not any(0 <= number < blocks[name].removed for name, number in atoms):
        return atoms
    while file.weave.mode(file.gone | atoms) is None:
        removal = file.weave.mode_atom(file.gone | atoms)
        if removal is None or blocks[removal[0]].owner == "user" or file.standing.get(removal) == "settled":
            raise ReviewError("The file is gone, so no line can come back to it", "make the file first")
        atoms |= {removal}
    return atoms


def makes_file(file: FileState, name: str) -> bool:
    """Whether a block's change of mode leaves a file behind."""
    return any(atom == (name, META) and mode is not None for atom, mode in file.weave.modes)


def shifts_to(
    state: ReviewState,
    atoms: Mapping[str, Set[Atom]],
    target: Standing,
    sources: Sequence[Standing] = ("pending", "kept"),
) -> tuple[Shift, ...]:
    """The shifts that bring atoms in one of the states `sources` to `target`."""
    result: list[Shift] = []
    for path, members in atoms.items():
        standing = state.files[path].standing
        for source in sources:
            those = {atom for atom in members if standing.get(atom, "pending") == source}
            if those and source != target:
                result.append(shift_of(path, source, target, those))
    return tuple(result)


def images_after(
    state: ReviewState, shifts: Iterable[Shift]
) -> dict[str, tuple[FileImage | None, FileImage | None]]:
    """For each file that shifts change on disk: its image now and then."""
    gone: dict[str, set[Atom]] = {}
    for shift in shifts:
        standing = state.files[shift.path].standing
        members = {(name, number) for name, numbers in shift.atoms for number in numbers}
        members = {atom for atom in members if standing.get(atom) != "void"}
        without = gone.setdefault(shift.path, set(state.files[shift.path].gone))
        if shift.target == "rejected":
            without |= members
        else:
            without -= members
    result: dict[str, tuple[FileImage | None, FileImage | None]] = {}
    for path, without in gone.items():
        file = state.files[path]
        before, after = file.image(), file.weave.image(without)
        if before != after:
            result[path] = (before, after)
    return result


def obstacles(state: ReviewState, shifts: Collection[Shift]) -> list[str]:
    """Paths where a later edit occupies the place that shifts would change: bringing lines back would mix
    with it, taking them away would pull the ground from under it."""
    found: list[str] = []
    for path in dict.fromkeys(shift.path for shift in shifts):
        here = [shift for shift in shifts if shift.path == path]
        back = {name for shift in here if shift.source == "rejected" for name, _ in shift.atoms}
        away = {name for shift in here if shift.target == "rejected" for name, _ in shift.atoms}
        file = state.files[path]
        for block in file.weave.blocks.values():
            if (
                file.counts(block)
                and block.id not in away | back
                and (block.touches & back or block.rests_on & away)
            ):
                found.append(path)
                break
    return found


def places(state: ReviewState, parts: Iterable[HunkBlocks]) -> str:
    """Where parts are, for a sentence: "a.py line 3, b.py line 7"."""
    words: list[str] = []
    for part in parts:
        shown = show(part.path, state.files[part.path])
        lines = [
            line.after_number or line.before_number
            for item in (shown.shown if shown else ())
            if item.blocks & part.blocks
            for line in item.hunk.lines
            if line.kind != "context"
        ]
        words.append(f"{part.path} line {lines[0]}" if lines else part.path)
    return ", ".join(words)
