"""What the screen may ask and do about how hunks were written."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from app.review.display import ShownFile
from app.review.log.decisions import AtomsByPath
from app.review.log.entries import RejectedText
from app.review.log.ledger import Ledger
from app.review.model import WrittenBy
from app.review.written.authors import authors
from app.review.written.instead import Files, Piece, PieceFacts, put_instead, without


@dataclass(frozen=True, slots=True)
class Written:
    """Every method raises ReviewError when the log or the disk refuses; then nothing has changed. `acting` and
    `deciding` enter the lock to read and to decide, `shown` gives what is under review, and `told` what
    the agent hears of lines that go."""

    ledger: Ledger
    acting: Callable[[], AbstractContextManager[None]]
    deciding: Callable[[], AbstractContextManager[None]]
    shown: Callable[[], Iterable[ShownFile]]
    told: Callable[[AtomsByPath], tuple[RejectedText, ...]]
    known: dict[str, tuple[ShownFile, dict[str, tuple[WrittenBy, ...]]]] = field(default_factory=dict)
    """By path, what was found for a file as long as it is shown alike."""

    def by(self) -> Mapping[str, tuple[WrittenBy, ...]]:
        """By the ids of the hunks under review: the calls that have a part in each, oldest first."""
        with self.acting():
            for path in self.known.keys() - self.ledger.state.files.keys():
                del self.known[path]
            return {name: calls for shown in self.shown() for name, calls in self._of(shown).items()}

    def _of(self, shown: ShownFile) -> dict[str, tuple[WrittenBy, ...]]:
        path = shown.change.path
        if path not in self.known or self.known[path][0] is not shown:
            found = {one.hunk.id: authors(self.ledger.state, path, one) for one in shown.shown}
            self.known[path] = (shown, found)
        return self.known[path][1]

    def facts(self, piece: Piece) -> PieceFacts:
        """What is known of a piece of the agent's work that could be written again."""
        with self.deciding():
            return without(self.ledger.state, piece).facts

    def put_instead(self, piece: Piece, begun: Files, after: Files) -> None:
        """Put another way of writing a piece in its place, as one decision: files become `after` where they are
        `begun` without it, and what its calls could have done as well is under review. The agent is told."""
        with self.deciding():
            found = without(self.ledger.state, piece)
            put_instead(self.ledger, piece, found, (begun, after), self.told(found.chosen))
