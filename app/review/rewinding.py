"""Going back to before a turn: what has to be taken away where review still knows the file, and what files have
to become where it does not, because everything in them was decided and settled."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from app.git.git import Git
from app.review.checkout import merge
from app.review.diff.compare import SYMLINK
from app.review.errors import LostContent
from app.review.log.change_log import ReviewState
from app.review.log.decisions import AtomsByPath, HunkBlocks
from app.review.log.entries import ImageName
from app.review.log.file_state import FileState
from app.review.log.ledger import Images
from app.review.log.weave import Atom
from app.review.model import FileImage


@dataclass(frozen=True, slots=True)
class Plan:
    """`atoms` go, by path; `blocked` are parts that a user's own edit rests on; `gone` are the paths that are
    no longer under review, with what the first of the turns found there."""

    atoms: AtomsByPath
    blocked: list[HunkBlocks]
    gone: dict[str, ImageName | None]


def plan(state: ReviewState, serials: Collection[int]) -> Plan:
    """What going back on these turns means."""
    atoms: AtomsByPath = {}
    blocked: list[HunkBlocks] = []
    for path, file in state.files.items():
        blocks = file.weave.blocks
        there = {name: found for name in blocks if (found := _there(file, name))}
        # A block rests only on older ones, and the weave keeps blocks in the order they were made.
        under_users: set[str] = set()
        for name in reversed(there):
            if blocks[name].owner == "user" or name in under_users:
                under_users |= blocks[name].rests_on
        going: set[str] = set()
        for name in there:
            block = blocks[name]
            if block.owner == "agent" and block.turn in serials:
                if name in under_users:
                    blocked.append(HunkBlocks(name, path, frozenset({name}), False))
                else:
                    going.add(name)
            elif block.rests_on & going:
                going.add(name)
        if going:
            atoms[path] = frozenset(atom for name in going for atom in there[name])
    gone: dict[str, ImageName | None] = {}
    for serial in sorted(serials):
        for path, image in state.firsts.get(serial, {}).items():
            if path not in state.files:
                gone.setdefault(path, image)
    return Plan(atoms, blocked, gone)


def _there(file: FileState, name: str) -> frozenset[Atom]:
    """The atoms of a block that are neither rejected nor void: settled ones can be gone back on too."""
    atoms = file.weave.blocks[name].atoms
    return frozenset(atom for atom in atoms if file.standing.get(atom) not in ("rejected", "void"))


def files_to_write(
    state: ReviewState,
    wanted: Plan,
    image: Callable[[ImageName | None], FileImage | None],
    read: Callable[[str], FileImage | None],
    git: Git,
) -> tuple[Images, list[str], list[str]]:
    """What the files that are no longer under review become, with what was done to them since merged in; the
    paths where that cannot be done cleanly; and those whose content is lost. Raises OSError."""
    images: Images = {}
    left: list[str] = []
    lost: list[str] = []
    for path, first in wanted.gone.items():
        try:
            found, last, target = read(path), image(state.images[path]), image(first)
        except LostContent:
            lost.append(path)
            continue
        if found == target or (found is None and last is None):
            continue
        if found != last:
            merged = _merged(git, found, last, target)
            if merged is None:
                left.append(path)
                continue
            target = merged
        images[path] = (found, target)
    return images, left, lost


def _merged(
    git: Git, ours: FileImage | None, base: FileImage | None, theirs: FileImage | None
) -> FileImage | None:
    if ours is None or base is None or theirs is None or SYMLINK in (ours.mode, base.mode, theirs.mode):
        return None
    data = merge(git, ours.data, base.data, theirs.data)
    return FileImage(data, theirs.mode if ours.mode == base.mode else ours.mode) if data is not None else None
