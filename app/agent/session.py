"""A conversation on disk: one append-only file of JSON lines, each stored before the next step is taken."""

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from app.agent.errors import SessionError
from app.paths import data_directory

_VERSION = 1
Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """A session as a list shows it. `title` is the first line the user wrote, "" when nothing was."""

    id: str
    path: Path
    created: str
    title: str
    turns: int


class Journal:
    """The open file of one session. Held by one process at a time.

    Raises SessionError when the file cannot be opened, is another program's, or is open elsewhere.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SessionError(f"the session {path.stem} cannot be opened ({error.strerror})") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.records, length = _read(path)
            # What a crash left of a line that was being written.
            os.ftruncate(self._descriptor, length)
        except BlockingIOError as error:
            self.close()
            raise SessionError(
                f"the session {path.stem} is open in another window", "close it there"
            ) from error
        except SessionError:
            self.close()
            raise

    @property
    def id(self) -> str:
        """The session's name, as `resume` takes it."""
        return self.path.stem

    def append(self, kind: str, **fields: Any) -> None:
        """Store one record and return when the disk has it. Raises SessionError when it will not take it."""
        data = memoryview(
            json.dumps({"kind": kind, **fields}, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        )
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise SessionError(
                f"the session cannot be saved ({error.strerror})", "make room on the disk"
            ) from error

    def discard(self) -> None:
        """Remove the file: nothing was said in this session."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file; harmless when repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _read(path: Path) -> tuple[tuple[Record, ...], int]:
    """The whole records in the file, and how many bytes they take. A torn last line is left out."""
    data = path.read_bytes()
    length = data.rfind(b"\n") + 1
    records = []
    for number, line in enumerate(data[:length].splitlines(), 1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise SessionError(f"line {number} of the session {path.stem} is damaged") from error
        if not isinstance(record, dict) or "kind" not in record:
            raise SessionError(f"line {number} of the session {path.stem} is not one of a session's")
        records.append(record)
    if records and (records[0]["kind"] != "session" or records[0].get("version") != _VERSION):
        raise SessionError(f"the session {path.stem} was written by another version of Tidegate")
    return tuple(records), length


def sessions_directory(root: Path) -> Path:
    """Where the sessions of the workspace at `root` are kept."""
    return data_directory() / "sessions" / hashlib.sha256(os.fsencode(root)).hexdigest()[:16]


def new_journal(root: Path) -> Journal:
    """Begin a session in the workspace at `root`."""
    directory = sessions_directory(root)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = datetime.now().astimezone()
    journal = Journal(directory / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}.jsonl")
    journal.append("session", version=_VERSION, root=str(root), created=now.isoformat(timespec="seconds"))
    return journal


def open_journal(root: Path, session_id: str) -> Journal:
    """Go on with a session. Raises SessionError when there is none of that name."""
    path = sessions_directory(root) / f"{session_id}.jsonl"
    if Path(session_id).name != session_id or not path.is_file():
        raise SessionError(f"there is no session {session_id} in this workspace")
    return Journal(path)


def sessions(root: Path) -> Iterator[SessionSummary]:
    """The sessions of the workspace at `root` in which something was said, the newest first."""
    for path in sorted(sessions_directory(root).glob("*.jsonl"), reverse=True):
        try:
            records, _length = _read(path)
        except (SessionError, OSError):
            continue  # what cannot be read cannot be offered; opening it by name says why
        turns = [record for record in records if record["kind"] == "turn"]
        if turns:
            title = next(iter(str(turns[0]["text"]).strip().splitlines()), "")
            yield SessionSummary(path.stem, path, records[0]["created"], title, len(turns))
