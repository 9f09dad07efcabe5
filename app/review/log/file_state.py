"""One file under review, as the log has it: its weave, and what was decided on each of its atoms."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from app.review.log.entries import Standing
from app.review.log.weave import Atom, BlockFacts, Weave
from app.review.model import FileImage


@dataclass(frozen=True, slots=True)
class Origin:
    """A renamed file was `path`; `removal` is the block that took it away there, `arrival` the one that made it
    here. They stand and fall together."""

    path: str
    removal: str
    arrival: str


@dataclass
class FileState:
    """One file under review: its weave and the state of each of its atoms. What is not in `standing` is
    pending if it is the agent's, and simply there if it is the user's. `gone` are the atoms that do not count:
    rejected, or never written."""

    weave: Weave
    standing: dict[Atom, Standing] = field(default_factory=dict)
    made_directories: frozenset[str] = frozenset()
    gone: frozenset[Atom] = frozenset()
    origin: Origin | None = None
    newest_edit: int = 0
    # What the user last took back by hand, with what was decided on it before, and the newest edit then.
    taken_back: dict[Atom, Standing] = field(default_factory=dict)
    edit_taken_at: int = 0
    # What was rejected and leaves no trace: gone back on, or in a review that is over.
    untraced: frozenset[Atom] = frozenset()
    # Counts the changes to this state, so that what was made from it can be kept as long as it holds.
    version: int = 0

    def __post_init__(self) -> None:
        self.changed()

    def changed(self) -> None:
        """To be called after every change: forgets what was made from the earlier state."""
        self.version += 1
        self.gone = frozenset(atom for atom, word in self.standing.items() if word in ("rejected", "void"))
        self._image: tuple[FileImage | None] | None = None
        self._live: tuple[frozenset[str], frozenset[str]] | None = None

    def image(self) -> FileImage | None:
        """What the log says is on disk."""
        if self._image is None:
            self._image = (self.weave.image(self.gone),)
        return self._image[0]

    def live(self) -> tuple[frozenset[str], frozenset[str]]:
        """Blocks with atoms that are kept, and with atoms that are pending. The user's own blocks count where
        they rest on the agent's: they stand or fall with these."""
        if self._live is None:
            self._live = self._find_live()
        return self._live

    def _find_live(self) -> tuple[frozenset[str], frozenset[str]]:
        kept: set[str] = set()
        pending: set[str] = set()
        for block in self.weave.blocks.values():
            if block.owner == "agent":
                words = {self.standing.get(atom, "pending") for atom in block.atoms}
                if "kept" in words:
                    kept.add(block.id)
                if "pending" in words:
                    pending.add(block.id)
            elif any(self.standing.get(atom) == "kept" for atom in block.atoms):
                kept.add(block.id)
            elif self.counts(block) and block.rests_on & (kept | pending):
                (pending if block.rests_on & pending else kept).add(block.id)
        return frozenset(kept), frozenset(pending)

    def traced(self) -> frozenset[Atom]:
        """What was rejected in the review that goes on, and can be brought back."""
        return frozenset(atom for atom, word in self.standing.items() if word == "rejected") - self.untraced

    def is_over(self) -> bool:
        """Whether there is nothing to decide and nothing to bring back."""
        return not any(self.live()) and not self.traced()

    def before_taking_back(self) -> dict[Atom, Standing] | None:
        """The standing of all atoms without what the user took back last, and without the user's edits since;
        None if there is no way back."""
        since = [block for block in self.weave.blocks.values() if block.edit > self.edit_taken_at]
        if not self.taken_back or any(block.owner == "agent" for block in since):
            return None
        standing = {atom: word for atom, word in self.standing.items() if atom not in self.taken_back}
        standing.update({atom: word for atom, word in self.taken_back.items() if word != "pending"})
        standing.update({atom: "void" for block in since for atom in block.atoms})
        return standing

    def counts(self, block: BlockFacts) -> bool:
        """Whether any atom of a block is neither settled nor gone."""
        return any(self.standing.get(atom) not in ("settled", "void", "rejected") for atom in block.atoms)

    def above(self, names: Iterable[str]) -> frozenset[str]:
        """These blocks and all that rest on them, as far as they count."""
        found = set(names)
        # A block rests only on older ones, and the weave keeps blocks in the order they were made.
        for block in self.weave.blocks.values():
            if block.rests_on & found and self.counts(block):
                found.add(block.id)
        return frozenset(found)

    def below(self, names: Iterable[str]) -> frozenset[str]:
        """These blocks and all that they rest on, as far as they count."""
        found = set(names)
        for block in reversed(self.weave.blocks.values()):
            if block.id in found:
                found.update(name for name in block.rests_on if self.counts(self.weave.blocks[name]))
        return frozenset(found)
