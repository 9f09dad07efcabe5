"""A file under review as hunks to decide.

What is kept is shown against the state before the agent, what is pending against the state with the kept part:
two layers over one weave, so that a change on top of a kept one is a hunk of its own. Changes of one layer that
rest on one another are one hunk; so are changes of one edit a few lines apart.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass, replace
from itertools import pairwise

from app.review.diff.compare import CONTEXT_LINES, SYMLINK, diff_line
from app.review.log.file_state import FileState
from app.review.log.weave import META, Atom, Token, is_visible
from app.review.model import ChangeKind, DiffLine, FileChange, Hunk

KEPT_MARK = ":kept"
REJECTED_MARK = ":rejected"
_NO_ATOMS: frozenset[Atom] = frozenset()


@dataclass(frozen=True, slots=True)
class Shown:
    """A hunk, its blocks, and for each of its lines the atoms that made it."""

    hunk: Hunk
    blocks: frozenset[str]
    kept: bool
    atoms: tuple[frozenset[Atom], ...]


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A file's change as the screen gets it, and the blocks of its hunks."""

    change: FileChange
    shown: tuple[Shown, ...]


@dataclass(slots=True)
class _Cell:
    """One token of the weave in the three states, with its line numbers there."""

    token: Token
    base: bool
    middle: bool
    now: bool
    base_number: int
    middle_number: int
    now_number: int


@dataclass(slots=True)
class _Group:
    """Cells [first, last] that become one hunk."""

    kept: bool
    blocks: set[str]
    first: int
    last: int


def show(path: str, state: FileState, is_moved: bool = False) -> ShownFile | None:
    """The hunks of one file; None when nothing of the agent's is left to see. `is_moved`: the file is shown as
    renamed, and the hunk that stands for this stands for its removal at the old path too."""
    kept, pending = state.live()
    if not kept and not pending:
        return None
    gone = state.gone
    pending_atoms = live_atoms(state, pending, False)
    kept_atoms = live_atoms(state, kept, True)
    middle_without = gone | pending_atoms
    base_without = middle_without | kept_atoms
    cells = _cells(state, base_without, middle_without, gone)
    # All that was edited in a renamed file rests on its arrival, which is a hunk of its own nevertheless.
    arrival = {(state.origin.arrival, META)} if state.origin else set()
    groups = [
        *_groups(state, cells, kept_atoms - arrival, kept=True),
        *_groups(state, cells, pending_atoms - arrival, kept=False),
    ]
    groups.sort(key=lambda group: (group.first, not group.kept))
    mixed = kept & pending
    in_lines = {name for group in groups for name in group.blocks}
    modes = [state.weave.mode(without) for without in (base_without, middle_without, gone)]
    found: list[Shown] = []
    for atoms, is_kept, (was, became) in zip(
        (kept_atoms, pending_atoms), (True, False), pairwise(modes), strict=True
    ):
        names = {name for name, number in atoms if number == META} - in_lines
        if names and was != became:
            with_removal = is_moved and state.origin is not None and state.origin.arrival in names
            both = names | {state.origin.removal} if with_removal and state.origin else names
            hunk_name = _name(both, is_kept, mixed)
            hunk = Hunk(hunk_name, 0, 0, 0, 0, (), decision="kept" if is_kept else "pending")
            found.append(Shown(hunk, frozenset(names), is_kept, ()))
    end = 0
    for number, group in enumerate(groups):
        limit = groups[number + 1].first if number + 1 < len(groups) else len(cells)
        shown, last = _hunk(cells, group, range(end, max(limit, group.last + 1)), gone, mixed)
        if _changes_something(shown.hunk):
            found.append(shown)
            end = last
    before, _, after = modes
    if not found:
        return None
    kind = _kind(cells, before, after)
    if state.origin and before is None and after is not None:
        # Its lines are those of another file, whose removal may have been decided otherwise meanwhile.
        kind = "renamed" if is_moved else "copied"
        before = next(mode for atom, mode in state.weave.modes if atom == (state.origin.arrival, META))
    change = FileChange(
        path=path,
        kind=kind,
        hunks=tuple(item.hunk for item in found),
        previous_path=state.origin.path if state.origin and kind in ("renamed", "copied") else None,
        before_mode=before,
        after_mode=after,
    )
    return ShownFile(change, tuple(found))


def show_rejected(path: str, state: FileState, is_moved: bool = False) -> ShownFile | None:
    """What was rejected in one file, as hunks that would bring it back; None if nothing was. `is_moved`: a
    rename was rejected, and the hunk that stands for it stands for the removal at the old path too."""
    atoms = state.traced()
    if not atoms:
        return None
    gone = state.gone
    without = gone - atoms
    cells = _cells(state, gone, gone, without)
    arrival = {(state.origin.arrival, META)} if state.origin else set()
    groups = sorted(_groups(state, cells, atoms - arrival, kept=False), key=lambda group: group.first)
    in_lines = {name for group in groups for name in group.blocks}
    was, became = state.weave.mode(gone), state.weave.mode(without)
    found: list[Shown] = []
    names = {name for name, number in atoms if number == META} - in_lines
    if names and was != became:
        both = names | {state.origin.removal} if is_moved and state.origin else names
        hunk = Hunk(_name(both, False, set()) + REJECTED_MARK, 0, 0, 0, 0, (), decision="rejected")
        found.append(Shown(hunk, frozenset(names), False, ()))
    end = 0
    for number, group in enumerate(groups):
        limit = groups[number + 1].first if number + 1 < len(groups) else len(cells)
        shown, last = _hunk(cells, group, range(end, max(limit, group.last + 1)), without, set())
        if _changes_something(shown.hunk):
            hunk = replace(shown.hunk, id=shown.hunk.id + REJECTED_MARK, decision="rejected")
            found.append(replace(shown, hunk=hunk))
            end = last
    if not found:
        return None
    is_rename = is_moved and state.origin is not None
    kind: ChangeKind = "renamed" if is_rename else _kind(cells, was, became)
    previous = state.origin.path if is_rename and state.origin else None
    change = FileChange(path, kind, tuple(item.hunk for item in found), previous, was, became)
    return ShownFile(change, tuple(found))


def with_traces(change: FileChange | None, rejected: FileChange) -> FileChange:
    """A file's hunks, and what was rejected of it in its place between them."""
    if change is None:
        return rejected
    ahead = [hunk for hunk in change.hunks if not hunk.lines]
    hunks = [hunk for hunk in (*change.hunks, *rejected.hunks) if hunk not in ahead]
    hunks.sort(key=lambda hunk: hunk.before_start if hunk.decision == "rejected" else hunk.after_start)
    return replace(change, hunks=(*ahead, *hunks))


def live_atoms(state: FileState, names: Set[str], kept: bool) -> frozenset[Atom]:
    """The atoms of these blocks that belong to the kept or to the pending layer. A user's atom without a word
    of its own belongs to the layer its block was counted in; a line that the user removed, and that was not
    under review, does not come under review by that."""
    result: set[Atom] = set()
    reviewed = frozenset[str]().union(*state.live())
    removed = state.weave.makers_of_removed
    for name in names:
        block = state.weave.blocks[name]
        for atom in block.atoms:
            if atom in removed and removed[atom] not in reviewed:
                continue
            word = state.standing.get(atom)
            if word == ("kept" if kept else "pending") or (
                word is None and (not kept or block.owner == "user")
            ):
                result.add(atom)
    return frozenset(result)


def _cells(state: FileState, base: Set[Atom], middle: Set[Atom], now: Set[Atom]) -> list[_Cell]:
    cells: list[_Cell] = []
    i = j = k = 0
    for token in state.weave.tokens:
        if token.inserted is None and not token.deleted:
            in_base = in_middle = in_now = True
        else:
            in_base, in_middle, in_now = (is_visible(token, without) for without in (base, middle, now))
            if not (in_base or in_middle or in_now):
                continue
        i, j, k = i + in_base, j + in_middle, k + in_now
        cells.append(_Cell(token, in_base, in_middle, in_now, i, j, k))
    return cells


def _makers(cell: _Cell, atoms: Set[Atom]) -> frozenset[Atom]:
    """The atoms of a layer that put this line in or took it out."""
    found = {atom for atom in cell.token.deleted if atom in atoms}
    if cell.token.inserted in atoms and cell.token.inserted is not None:
        found.add(cell.token.inserted)
    return frozenset(found)


def _groups(state: FileState, cells: list[_Cell], atoms: Set[Atom], kept: bool) -> list[_Group]:
    if not atoms:
        return []
    parent = {name: name for name, _ in atoms}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    def unite(names: Iterable[str]) -> None:
        first, *rest = [find(name) for name in names]
        for name in rest:
            parent[find(name)] = find(first)

    for name in parent:
        below = [other for other in state.weave.blocks[name].rests_on if other in parent]
        if below:
            unite([name, *below])
    runs: list[tuple[int, int, set[str]]] = []
    for number, cell in enumerate(cells):
        if (cell.base == cell.middle) if kept else (cell.middle == cell.now):
            continue
        names = {name for name, _ in _makers(cell, atoms)}
        if len(names) > 1:
            unite(names)
        if runs and runs[-1][1] == number - 1 and any(find(a) == find(b) for a in runs[-1][2] for b in names):
            runs[-1] = (runs[-1][0], number, runs[-1][2] | names)
        else:
            runs.append((number, number, names))
    edits = {name: state.weave.blocks[name].edit for name in parent}
    for (_, end, left), (start, _, right) in pairwise(runs):
        if start - end - 1 > CONTEXT_LINES:
            continue
        plain = all(cell.base and cell.now for cell in cells[end + 1 : start])
        if plain and {edits[name] for name in left} == {edits[name] for name in right}:
            unite([*left, *right])
    groups: dict[str, _Group] = {}
    for start, end, names in runs:
        root = find(next(iter(names)))
        group = groups.setdefault(root, _Group(kept, set(), start, end))
        group.last = end
    for name in parent:
        if find(name) in groups:
            groups[find(name)].blocks.add(name)
    return list(groups.values())


def _name(blocks: Set[str], kept: bool, mixed: Set[str]) -> str:
    ordered = sorted(blocks, key=lambda name: tuple(map(int, name.split("."))))
    return "+".join(ordered) + (KEPT_MARK if kept and blocks & mixed else "")


def _hunk(
    cells: list[_Cell], group: _Group, room: range, gone: Set[Atom], mixed: Set[str]
) -> tuple[Shown, int]:
    """The group's lines with context, which stays within `room` so that hunks do not overlap; and its end."""
    kept = group.kept
    first, last = group.first, group.last
    lead = trail = 0
    while first > room.start and lead < CONTEXT_LINES and not _is_change(cells[first - 1]):
        first, lead = first - 1, lead + 1
    while last + 1 < room.stop and trail < CONTEXT_LINES and not _is_change(cells[last + 1]):
        last, trail = last + 1, trail + 1
    lines: list[DiffLine] = []
    atoms: list[frozenset[Atom]] = []
    removed: list[tuple[DiffLine, frozenset[Atom]]] = []
    added: list[tuple[DiffLine, frozenset[Atom]]] = []
    opaque = False

    def flush() -> None:
        for line, makers in (*removed, *added):
            lines.append(line)
            atoms.append(makers)
        removed.clear()
        added.clear()

    # Written with large files in mind, of which every line passes here.
    for cell in cells[first : last + 1]:
        data = cell.token.data
        before = cell.base if kept else cell.middle
        after = cell.middle if kept else cell.now
        before_number = cell.base_number if cell.base else cell.middle_number
        after_number = cell.now_number if cell.now else cell.middle_number
        if before and after:
            # A line that only the other layer changes is neither context nor ours.
            if cell.now:
                if removed or added:
                    flush()
                lines.append(diff_line("context", data, before_number, after_number))
                atoms.append(_NO_ATOMS)
            continue
        makers = frozenset(
            atom
            for atom in (cell.token.inserted, *cell.token.deleted)
            if atom is not None and atom not in gone and atom[0] in group.blocks
        )
        opaque |= cell.token.opaque
        if before and makers:
            removed.append((diff_line("removed", data, before_number, None), makers))
        elif after and makers:
            added.append((diff_line("added", data, None, after_number), makers))
    flush()
    if opaque:
        lines, atoms = [], []
    before_count = sum(line.kind != "added" for line in lines)
    after_count = sum(line.kind != "removed" for line in lines)
    # The last line in front of the hunk on either side, for a side that has no line of its own.
    start = cells[first - 1] if first else None
    hunk = Hunk(
        id=_name(group.blocks, kept, mixed),
        before_start=next(
            (n for line in lines if (n := line.before_number)), start.base_number if start else 0
        ),
        before_count=before_count,
        after_start=next((n for line in lines if (n := line.after_number)), start.now_number if start else 0),
        after_count=after_count,
        lines=tuple(lines),
        section=_section(cells, first),
        decision="kept" if kept else "pending",
    )
    return Shown(hunk, frozenset(group.blocks), kept, tuple(atoms)), last + 1


def _changes_something(hunk: Hunk) -> bool:
    """Whether there is something to decide: what was changed, and changed back by hand, is nothing."""
    before, after = (
        [(line.text, line.has_newline) for line in hunk.lines if line.kind != kind]
        for kind in ("added", "removed")
    )
    return before != after or not hunk.lines


def _is_change(cell: _Cell) -> bool:
    return not (cell.base and cell.middle and cell.now)


def _section(cells: list[_Cell], first: int) -> str:
    for number in range(first - 1, max(-1, first - 2000), -1):
        cell = cells[number]
        start = cell.token.data[:1]
        if cell.base and not cell.token.opaque and (start.isalpha() or start in (b"_", b"$")):
            return cell.token.data.rstrip().decode("utf-8", "replace")[:80]
    return ""


def _kind(cells: list[_Cell], before: int | None, after: int | None) -> ChangeKind:
    if SYMLINK in (before, after):
        return "symlink"
    if any(cell.token.opaque for cell in cells):
        return "binary"
    if before is None:
        return "created"
    if after is None:
        return "deleted"
    return "modified" if any(_is_change(cell) for cell in cells) else "mode"
