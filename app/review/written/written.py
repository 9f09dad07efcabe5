"""What the screen may ask and do about how hunks were written."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from app.review.display import ShownFile
from app.review.log.decisions import AtomsByPath
from app.review.log.entries import RejectedText
from app.review.log.ledger import Ledger
from app.review.model import FileImage, WrittenBy
from app.review.written.authors import authors
from app.review.written.instead import put_instead, without


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
            return {name: calls for shown in self.shown() for name, calls in self._of(shown).items()}

    def _of(self, shown: ShownFile) -> dict[str, tuple[WrittenBy, ...]]:
        path = shown.change.path
        if path not in self.known or self.known[path][0] is not shown:
            found = {one.hunk.id: authors(self.ledger.state, path, one) for one in shown.shown}
            self.known[path] = (shown, found)
        return self.known[path][1]

    def without(self, hunk: str) -> FileImage | None:
        """The file of a hunk without all that was changed there by the calls that made it; None: no file."""
        with self.deciding():
            return without(self.ledger.state, hunk).image

    def put_instead(self, hunk: str, before: FileImage | None, after: FileImage, call: str = "") -> None:
        """Make the file of a hunk `after` as one decision, where it is `before` without the hunk: what the tool
        call `call` could have done as well is under review in the hunk's place. The agent is told."""
        with self.deciding():
            found = without(self.ledger.state, hunk)
            put_instead(self.ledger, found, (before, after), call, self.told(found.chosen))
