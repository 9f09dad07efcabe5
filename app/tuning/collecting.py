"""Examples of a workspace, from its review's log and its sessions. Blocks on the disk."""

import logging
from collections.abc import Iterator
from pathlib import Path

from app.agent.errors import SessionError
from app.agent.session.records import SessionBegan
from app.agent.session.session import read_records, read_session
from app.paths import data_directory
from app.review.errors import ReviewError
from app.review.log.entries import ImageName
from app.review.log.store import FileStore
from app.settings.settings import BadSettings, load_settings
from app.tuning.calls import written_replies
from app.tuning.decided import by_turn, outcomes
from app.tuning.example_file import BadExamples, ExampleFile
from app.tuning.examples import TrainingExample, examples_of

_log = logging.getLogger(__name__)


def collect(root: Path) -> int:
    """Take the decisions of the workspace at `root` into its examples; returns how many are new or other. To be
    called only where the user's settings have learn_from_review. Raises BadExamples and ReviewError."""
    return ExampleFile.of_workspace(root).take_in(root, (example.to_line() for example in _found(root)))


def collect_all() -> int:
    """`collect` for every workspace that has sessions."""
    return sum(collect(root) for root in _workspaces())


def collect_if_wanted(root: Path) -> None:
    """`collect` where the user's settings have learn_from_review. What goes wrong is one line of the log:
    nobody asked for it just now, and `tidegate tune data` says it again."""
    try:
        if load_settings().learn_from_review:
            collect(root)
    except (BadExamples, ReviewError, BadSettings) as error:
        _log.warning("No examples were collected: %s", error)


def _workspaces() -> Iterator[Path]:
    """The roots of all workspaces with sessions that still are directories."""
    place = data_directory() / "sessions"
    for folder in sorted(place.iterdir()) if place.is_dir() else ():
        for file in sorted(folder.glob("*.jsonl"), reverse=True):
            try:
                first = read_records(file)[:1]
            except (SessionError, OSError):
                continue
            if first and isinstance(first[0], SessionBegan):
                root = Path(first[0].root)
                if root.is_dir():
                    yield root
                break


def _found(root: Path) -> Iterator[TrainingExample]:
    store = FileStore.of_workspace(root)
    with store.lock():
        entries = store.everything()

    def read(image: ImageName | None) -> str | None:
        if image is None:
            return ""
        try:
            return store.get(image.blob).decode("utf-8").replace("\r\n", "\n")
        except (ReviewError, UnicodeDecodeError):
            return None  # lost, or no text: the examples that need it are left out

    decided = by_turn(outcomes(entries))
    for session in dict.fromkeys(name for name, _ in decided if name):
        try:
            records = read_session(root, session)
            yield from examples_of(session, written_replies(records), decided, read, root)
        except SessionError as error:
            # A session that was deleted gives no examples, as its user may well have wanted.
            _log.info("No examples of the session %s: %s", session, error)
