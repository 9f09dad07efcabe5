"""One file's history as a weave: every line that was ever there, once, in one order, each knowing which change
put it in and which changes took it out.

Any set of changes can then be shown or left out by walking the lines once, so that no decision needs a merge.
The idea is that of SCCS's interleaved deltas (Rochkind 1975). An *atom* is the smallest thing that can be
decided: one line put in, one line taken out, or one change of the file's mode or existence. A *block* is a run
of atoms that one edit made in one place, and knows the blocks it rests on: those whose lines it takes out or is
put into. Nothing here touches the disk.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal

from app.review.diff.compare import SYMLINK, Block, blocks, diff_tokens, is_opaque
from app.review.diff.words import pair
from app.review.model import FileImage

Owner = Literal["agent", "user"]
# A block's name ("3.0": edit 3, first block) and a number within it: removals first, then additions; META is
# the change of mode or existence.
Atom = tuple[str, int]
META = -1
"""The number of an edit's change of the file itself: its creation, deletion or mode."""


@dataclass(slots=True)
class Token:
    """A line (or an opaque whole content) that is or once was in the file."""

    data: bytes
    inserted: Atom | None
    deleted: list[Atom] = field(default_factory=list)
    opaque: bool = False


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """What is known of a block. `touches` are blocks that were rejected when this one was made in their place:
    bringing them back would mix the two."""

    id: str
    edit: int
    owner: Owner
    turn: int
    removed: int
    added: int
    meta: bool
    rests_on: frozenset[str]
    touches: frozenset[str]

    @property
    def atoms(self) -> frozenset[Atom]:
        """All that can be decided in it."""
        numbers = range(META if self.meta else 0, self.removed + self.added)
        return frozenset((self.id, number) for number in numbers)


@dataclass(frozen=True, slots=True)
class EditBlocks:
    """How an edit changed the visible tokens; `mode` and `whole` say whether mode or existence changed, and
    whether that is one with the content (creation, deletion, change of type)."""

    blocks: tuple[Block, ...]
    mode: bool
    whole: bool


def compare(before: Sequence[bytes], was: FileImage | None, now: FileImage | None) -> EditBlocks:
    """The blocks of an edit from the visible tokens `before` (of the image `was`) to `now`."""
    mode = (was.mode if was else None) != (now.mode if now else None)
    whole = mode and (was is None or now is None or SYMLINK in (was.mode, now.mode))
    after = diff_tokens(now)
    if whole:
        found = [Block(0, len(before), 0, len(after))] if before or after else []
    else:
        found = blocks(before, after)
    return EditBlocks(tuple(found), mode, whole)


class Weave:
    """A file's history. Changed only by `edit`; everything else asks."""

    def __init__(self, root: FileImage | None, exists: bool = True) -> None:
        """The history of a file that begins as `root`; where that did not exist yet under this name (the file
        was renamed), its lines are there and the file is not."""
        opaque = _is_whole(root)
        self.tokens = [Token(data, None, [], opaque) for data in diff_tokens(root)]
        self.modes: list[tuple[Atom | None, int | None]] = [(None, root.mode if root and exists else None)]
        self.blocks: dict[str, BlockFacts] = {}
        self.makers_of_removed: dict[Atom, str | None] = {}
        """By each removal of the user's: the block that had put the line in, None if it was there before."""

    @property
    def atoms(self) -> frozenset[Atom]:
        """All that can be decided in the file; without it, the file is as it was first."""
        return frozenset(atom for block in self.blocks.values() for atom in block.atoms)

    def visible(self, without: Set[Atom]) -> list[int]:
        """Indices of the tokens that are in the file when the atoms `without` are left out."""
        return [n for n, token in enumerate(self.tokens) if is_visible(token, without)]

    def mode(self, without: Set[Atom]) -> int | None:
        """The file's mode, None when it does not exist."""
        return next(mode for atom, mode in reversed(self.modes) if atom is None or atom not in without)

    def mode_atom(self, without: Set[Atom]) -> Atom | None:
        """The atom that made the mode what it is, None for the mode the file came with."""
        return next(atom for atom, _ in reversed(self.modes) if atom is None or atom not in without)

    def image(self, without: Set[Atom]) -> FileImage | None:
        """The file's content and mode with the atoms `without` left out."""
        mode = self.mode(without)
        if mode is None:
            return None
        return FileImage(join([self.tokens[n] for n in self.visible(without)]), mode)

    def edit(
        self,
        number: int,
        owner: Owner,
        turn: int,
        *,
        change: EditBlocks,
        after: FileImage | None,
        without: Set[Atom],
    ) -> list[BlockFacts]:
        """Weave in an edit of the file as it is with `without` left out; returns its new blocks."""
        data = diff_tokens(after)
        opaque = _is_whole(after)
        visible = self.visible(without)
        ground = self._ground(without)
        spans = self._spans(visible)
        around = self._around([self._place(block, visible) for block in change.blocks], spans)
        everything = self._everything(without) if change.whole else (frozenset(), frozenset())
        made: list[BlockFacts] = []
        fresh: list[tuple[int, list[Token]]] = []
        for ordinal, block in enumerate(change.blocks):
            name = f"{number}.{ordinal}"
            rests_on, touches = everything if change.whole else self._supports(block, visible, without, spans)
            rests_on |= around[ordinal]
            made.append(
                BlockFacts(
                    id=name,
                    edit=number,
                    owner=owner,
                    turn=turn,
                    removed=block.before_end - block.before_start,
                    added=block.after_end - block.after_start,
                    meta=change.whole,
                    rests_on=rests_on | ground,
                    touches=touches - rests_on,
                )
            )
            added = data[block.after_start : block.after_end]
            if owner == "user":
                for removal, place in enumerate(visible[block.before_start : block.before_end]):
                    maker = self.tokens[place].inserted
                    self.makers_of_removed[name, removal] = maker[0] if maker else None
            fresh += self._replacements(name, block, visible, added, opaque=opaque, without=without)
        self._insert(fresh)
        if change.mode:
            name = f"{number}.0" if change.whole else f"{number}.{len(change.blocks)}"
            last = self.mode_atom(without)
            if not (change.whole and made):
                touches = frozenset(atom[0] for atom, _ in self.modes if atom and atom in without)
                rests_on = ground | everything[0] | ({last[0]} if last else set())
                made.append(BlockFacts(name, number, owner, turn, 0, 0, True, rests_on, touches))
            self.modes.append(((name, META), after.mode if after else None))
        self.blocks.update((block.id, block) for block in made)
        return made

    def _ground(self, without: Set[Atom]) -> frozenset[str]:
        """The block that made the file exist as what it is: everything after rests on that."""
        found: set[str] = set()
        previous: int | None = None
        for number, (atom, mode) in enumerate(self.modes):
            if atom is None or atom not in without:
                if number and atom and (previous is None or mode is None or SYMLINK in (previous, mode)):
                    found = {atom[0]}
                previous = mode
        return frozenset(found)

    def _everything(self, without: Set[Atom]) -> tuple[frozenset[str], frozenset[str]]:
        """What a change of the whole file rests on, and touches: all that made the lines what they are."""
        atoms = {atom for token in self.tokens for atom in (token.inserted, *token.deleted) if atom is not None}
        rests_on = frozenset(atom[0] for atom in atoms if atom not in without)
        return rests_on, frozenset(atom[0] for atom in atoms if atom in without)

    def _spans(self, visible: Iterable[int]) -> dict[str, tuple[int, int]]:
        """For each block the places of its first and last visible line."""
        spans: dict[str, tuple[int, int]] = {}
        for place in visible:
            atom = self.tokens[place].inserted
            if atom:
                spans[atom[0]] = (spans[atom[0]][0] if atom[0] in spans else place, place)
        return spans

    def _place(self, block: Block, visible: list[int]) -> int:
        """Where a block's change begins among the tokens."""
        return visible[block.before_start] if block.before_start < len(visible) else len(self.tokens)

    @staticmethod
    def _around(places: list[int], spans: dict[str, tuple[int, int]]) -> list[set[str]]:
        """For each of these places, in order, the blocks that have lines on both sides of it."""
        waiting = sorted(((first, last, name) for name, (first, last) in spans.items()), reverse=True)
        found: list[set[str]] = []
        begun: dict[str, int] = {}
        for place in places:
            while waiting and waiting[-1][0] < place:
                _, last, name = waiting.pop()
                begun[name] = last
            begun = {name: last for name, last in begun.items() if place <= last}
            found.append(set(begun))
        return found

    def _supports(
        self, block: Block, visible: list[int], without: Set[Atom], spans: dict[str, tuple[int, int]]
    ) -> tuple[frozenset[str], frozenset[str]]:
        removed = visible[block.before_start : block.before_end]
        rests_on = {atom[0] for place in removed if (atom := self.tokens[place].inserted)}
        touches: set[str] = set()
        if removed:
            hidden = range(removed[0], removed[-1] + 1)
        else:
            start = visible[block.before_start - 1] + 1 if block.before_start else 0
            hidden = range(start, self._place(block, visible))
        for number in hidden:
            token = self.tokens[number]
            if token.inserted and token.inserted in without:
                touches.add(token.inserted[0])
            # Where lines were replaced, the new ones say where things are; where they were only removed, a
            # later insertion would have to guess its place without the removal.
            active = {atom[0] for atom in token.deleted if atom not in without}
            rests_on.update(active if removed else (name for name in active if name not in spans))
            touches.update(atom[0] for atom in token.deleted if atom in without)
        touches.update(atom[0] for place in removed for atom in self.tokens[place].deleted if atom in without)
        return frozenset(rests_on), frozenset(touches)

    def _insert(self, fresh: list[tuple[int, list[Token]]]) -> None:
        """Put tokens in at these places, which are in order, in one go: a slice for each would be quadratic."""
        tokens: list[Token] = []
        end = 0
        for place, group in fresh:
            tokens += self.tokens[end:place]
            tokens += group
            end = place
        self.tokens = tokens + self.tokens[end:]

    def _before_replaced(self, place: int, without: Set[Atom]) -> int:
        """`place`, or before the lines that the line there has replaced: what is put in front of a line is put
        in front of the whole change that made it."""
        maker = self.tokens[place].inserted if place < len(self.tokens) else None
        while (
            maker
            and place
            and any(atom[0] == maker[0] and atom not in without for atom in self.tokens[place - 1].deleted)
        ):
            place -= 1
        return place

    def _replacements(
        self,
        name: str,
        block: Block,
        visible: list[int],
        added: list[bytes],
        *,
        opaque: bool,
        without: Set[Atom],
    ) -> list[tuple[int, list[Token]]]:
        """Mark a block's removed lines; returns its new ones by the place they go to, in order."""
        removed = visible[block.before_start : block.before_end]
        for number, place in enumerate(removed):
            self.tokens[place].deleted.append((name, number))
        fresh = [Token(data, (name, len(removed) + n), [], opaque) for n, data in enumerate(added)]
        if not removed:
            return [(self._before_replaced(self._place(block, visible), without), fresh)]
        # Each new line in front of the line it replaces, so that rejecting some of a block's lines leaves the
        # others where they belong; what follows a line that only gained or lost its newline follows that line.
        old = [_text(self.tokens[place].data) for place in removed]
        new = [_text(data) for data in added]
        places = [0] * len(fresh)
        partners = {j: i for i, j in pair(old, new)}
        place = 0
        for j in range(len(fresh)):
            if j in partners:
                i = partners[j]
                place = max(place, i + (old[i] == new[j]))
            places[j] = place
        groups: dict[int, list[Token]] = {}
        for token, at in zip(fresh, places, strict=True):
            groups.setdefault(at, []).append(token)
        # The places only ever grow.
        return [(removed[i] if i < len(removed) else removed[-1] + 1, group) for i, group in groups.items()]


def is_visible(token: Token, without: Set[Atom]) -> bool:
    """Whether a line is in the file when the atoms `without` are left out."""
    # Written out, because this is asked for every line of every file.
    if token.inserted is not None and token.inserted in without:
        return False
    for atom in token.deleted:  # noqa: SIM110
        if atom not in without:
            return False
    return True


def join(tokens: Sequence[Token]) -> bytes:
    """The content of lines in order. A line without newline that is no longer the last gets one."""
    parts = [token.data for token in tokens]
    for n, token in enumerate(tokens[:-1]):
        if not token.opaque and not token.data.endswith(b"\n"):
            parts[n] += b"\n"
    return b"".join(parts)


def _is_whole(image: FileImage | None) -> bool:
    return image is not None and (image.mode == SYMLINK or is_opaque(image.data))


def _text(data: bytes) -> str:
    return data.rstrip(b"\n").decode("utf-8", "surrogateescape")
