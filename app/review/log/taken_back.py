"""Which of the agent's changes the user has taken back by other means than a decision: in an editor, by
`git checkout`, by `git stash`.

The file on disk is aligned with all lines of its weave that are in it or would be without the agent. A line
that the agent removed and that is back undoes that removal; one that the agent added and that is gone, with
nothing in its place, undoes that addition. What then still differs is the user's own. Nothing here touches the
disk.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

from app.review.diff.compare import Block, blocks, diff_tokens
from app.review.diff.words import similarity
from app.review.log.file_state import FileState
from app.review.log.weave import META, Atom, Token, is_visible
from app.review.model import FileImage

# From this similarity on (`words.similarity`) a line in the place of another is an edit of it.
_ALIKE = 0.4


def taken_back(file: FileState, found: FileImage | None) -> frozenset[Atom]:
    """The agent's atoms, pending or kept, that no longer hold in `found`, which is not what the log says is on
    disk."""
    agents = _live(file)
    if not agents:
        return frozenset()
    if found is None:
        return agents
    modes = _of_modes(file, agents, found)
    if modes is None:
        return frozenset()
    lines, moot = _of_lines(file, agents, found)
    atoms = modes | lines
    if not atoms:
        return atoms
    return atoms | _undone_with(file, agents, atoms, moot)


def _live(file: FileState) -> frozenset[Atom]:
    return frozenset(
        atom
        for block in file.weave.blocks.values()
        if block.owner == "agent"
        for atom in block.atoms
        if file.standing.get(atom, "pending") in ("pending", "kept")
    )


def _of_modes(file: FileState, agents: Set[Atom], found: FileImage) -> frozenset[Atom] | None:
    """The newest changes of mode and existence that are taken back; None if the file exists again, and not
    because they were."""
    mode = file.weave.mode(file.gone)
    if mode == found.mode:
        return frozenset()
    taken: frozenset[Atom] = frozenset()
    while (atom := file.weave.mode_atom(file.gone | taken)) in agents and atom is not None:
        taken |= {atom}
        if file.weave.mode(file.gone | taken) == found.mode:
            return taken
    return frozenset() if mode is not None else None


def _of_lines(file: FileState, agents: Set[Atom], found: FileImage) -> tuple[frozenset[Atom], frozenset[Atom]]:
    """The atoms of lines that are taken back, and the additions of lines that are not in the file."""
    gone = file.gone
    tokens = [token for token in file.weave.tokens if _is_in_or_out(token, gone, gone | agents)]
    there = diff_tokens(found)
    taken: set[Atom] = set()
    hidden = (token for token in file.weave.tokens if not is_visible(token, gone))
    absent = {token.inserted for token in hidden if token.inserted is not None}
    for stretch in _stretches(tokens, there):
        for token in stretch.matched:
            if not is_visible(token, gone):
                taken.update(atom for atom in token.deleted if atom not in gone)
                absent.discard(token.inserted or ("", META))
        for missing, place in stretch.gaps:
            for token in missing:
                maker = token.inserted
                if maker is None or maker not in agents or not is_visible(token, gone):
                    continue
                absent.add(maker)
                if not place or not (_replaces(file, maker) or _is_edited(token, place)):
                    taken.add(maker)
    return frozenset(taken), frozenset(absent)


@dataclass(slots=True)
class _Stretch:
    """A run of lines between two that were there before the agent and still are: those that are (again) in the
    file, and for each place the lines that are not with what is there instead."""

    matched: list[Token] = field(default_factory=list)
    gaps: list[tuple[list[Token], list[bytes]]] = field(default_factory=list)

    def settle(self) -> None:
        """Find lines that are back on the other side of a line that was put beside them meanwhile."""
        for missing, _ in self.gaps:
            for token in [token for token in missing if token.deleted]:
                place = next((place for _, place in self.gaps if token.data in place), None)
                if place is not None:
                    place.remove(token.data)
                    missing.remove(token)
                    self.matched.append(token)


def _stretches(tokens: Sequence[Token], there: Sequence[bytes]) -> Iterator[_Stretch]:
    stretch = _Stretch()
    end = 0
    differences = blocks([token.data for token in tokens], there)
    for block in (*differences, Block(len(tokens), len(tokens), len(there), len(there))):
        for token in tokens[end : block.before_start]:
            stretch.matched.append(token)
            if token.inserted is None and not token.deleted:
                stretch.settle()
                yield stretch
                stretch = _Stretch()
        end = block.before_end
        missing, place = tokens[block.before_start : end], there[block.after_start : block.after_end]
        stretch.gaps.append((list(missing), list(place)))
    stretch.settle()
    yield stretch


def _is_in_or_out(token: Token, gone: Set[Atom], without: Set[Atom]) -> bool:
    """Whether a line is in the file, or only the agent's removals hide it."""
    if token.inserted is not None and token.inserted in gone:
        return False
    return all(atom in without for atom in token.deleted)


def _replaces(file: FileState, atom: Atom) -> bool:
    """Whether the block of an addition also removed lines: another line in its place is then an edit of it,
    however little the two are alike."""
    return file.weave.blocks[atom[0]].removed > 0


def _is_edited(token: Token, place: Sequence[bytes]) -> bool:
    text = token.data.decode("utf-8", "replace")
    return any(similarity(text, other.decode("utf-8", "replace")) >= _ALIKE for other in place)


def _undone_with(file: FileState, agents: Set[Atom], taken: Set[Atom], absent: Set[Atom]) -> frozenset[Atom]:
    """The rest of the blocks that are undone as a whole: none of their lines is in the file, and all that they
    removed is back, or was put in by a block that is undone too."""
    makers: dict[Atom, Atom | None] = {
        atom: token.inserted for token in file.weave.tokens for atom in token.deleted
    }
    undone: set[str] = set()
    grows = True
    while grows:
        grows = False
        for name in {name for name, _ in agents} - undone:
            block = file.weave.blocks[name]
            atoms = [atom for atom in block.atoms if atom in agents and atom[1] != META]
            removals = [atom for atom in atoms if atom[1] < block.removed]
            additions = [atom for atom in atoms if atom[1] >= block.removed]
            if (
                (removals or any(atom in taken for atom in additions))
                and all(atom in absent or atom in taken for atom in additions)
                and all(
                    atom in taken or ((maker := makers.get(atom)) is not None and maker[0] in undone)
                    for atom in removals
                )
            ):
                undone.add(name)
                grows = True
    return frozenset(atom for atom in agents if atom[0] in undone and atom[1] != META)
