"""A conversation on disk: one append-only file of JSON lines, each stored before the next step is taken."""

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from send2trash import send2trash

from app import durable
from app.agent.errors import SessionError
from app.agent.session.branches import active
from app.agent.session.records import (
    Lost,
    Record,
    Rewound,
    SessionBegan,
    TitleSet,
    TurnBegan,
    decode,
    encode,
)
from app.checked_lines import sealed, unsealed
from app.paths import data_directory

_VERSION = 1
"""Of the file's format."""


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
            self._count = len(self.records)
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

    def read(self) -> tuple[Record, ...]:
        """All records, those that were appended meanwhile included. Raises SessionError."""
        try:
            return _read(self.path)[0]
        except OSError as error:
            raise SessionError(f"the session {self.id} cannot be read ({error.strerror})") from error

    def append(self, record: Record) -> None:
        """Store one record and return when the disk has it. Raises SessionError when it will not take it."""
        self.append_all((record,))

    def append_all(self, records: Iterable[Record]) -> None:
        """Store several records, as `append` does."""
        try:
            lines = [sealed(encode(record), self._count + n) for n, record in enumerate(records)]
            durable.append(self._descriptor, b"".join(lines))
            self._count += len(lines)
        except OSError as error:
            raise SessionError(
                f"the session cannot be saved ({error.strerror})", "make room on the disk"
            ) from error

    def discard(self) -> None:
        """Remove the file: nothing was said in this session."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; harmless when repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _read(path: Path) -> tuple[tuple[Record, ...], int]:
    """The records in the file, and how many bytes they take. A torn last line is left out, a damaged one Lost.

    Records go by their numbers where lines have them: a damaged byte can make two lines of one, or one of two.
    """
    data = path.read_bytes()
    length = data.rfind(b"\n") + 1
    records: list[Record] = []
    for number, line in enumerate(data[:length].split(b"\n")[:-1], 1):
        lost = Lost(str(path), number)
        record, at = _decoded(line) or (lost, None)
        if isinstance(record, Rewound) and not 0 <= record.to < len(records):
            record = lost
        if isinstance(at, int) and at <= length:
            while len(records) > at and isinstance(records[-1], Lost):
                records.pop()
            records += [lost] * (at - len(records))
            if len(records) > at:
                record = lost
        if not isinstance(record, Lost) and all(isinstance(before, Lost) for before in records):
            _check_beginning(path, record, at)
        records.append(record)
    if records and all(isinstance(record, Lost) for record in records):
        raise SessionError(f"nothing in the session {path} can be read", "begin a new one")
    return tuple(records), length


def _decoded(line: bytes) -> tuple[Record, int | None] | None:
    """The record in a line, and its number if it has one; None where the line is damaged."""
    try:
        body = unsealed(line)
        plain = json.loads(body)
        at = plain.pop("at", None)
        # Without a checksum that could be read, only a line of an older version may do.
        is_whole = len(body) < len(line) or (at is None and "sum" not in plain)
        return (decode(plain), at) if is_whole else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _check_beginning(path: Path, record: Record, at: int | None) -> None:
    """Raises SessionError unless `record`, the first that can be read, may stand in a session of this version.
    `at` is its number."""
    is_ours = record.version == _VERSION if isinstance(record, SessionBegan) else bool(at)
    if not is_ours:
        raise SessionError(f"the session {path.stem} was written by another version of Tidegate")


def sessions_directory(root: Path) -> Path:
    """Where the sessions of the workspace at `root` are kept."""
    return data_directory() / "sessions" / hashlib.sha256(os.fsencode(root)).hexdigest()[:16]


def new_journal(root: Path, forked_from: str = "") -> Journal:
    """Begin a session in the workspace at `root`; `forked_from` is kept as a remark."""
    directory = sessions_directory(root)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SessionError(
            f"no session can be kept in {directory} ({error.strerror})", "make that folder writable"
        ) from error
    now = datetime.now().astimezone()
    journal = Journal(directory / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}.jsonl")
    try:
        journal.append(SessionBegan(_VERSION, str(root), now.isoformat(timespec="seconds"), forked_from))
    except SessionError:
        journal.discard()
        journal.close()
        raise
    return journal


def open_journal(root: Path, session_id: str) -> Journal:
    """Resume a session. Raises SessionError when there is none of that name, or nothing in it."""
    journal = Journal(session_path(root, session_id))
    if not journal.records:
        journal.close()
        raise SessionError(f"the session {session_id} holds nothing", "begin a new one")
    return journal


def read_session(root: Path, session_id: str) -> tuple[Record, ...]:
    """All records of a session, also while it is open. Raises SessionError."""
    return read_records(session_path(root, session_id))


def read_records(path: Path) -> tuple[Record, ...]:
    """All records of the session in the file `path`. Raises SessionError, OSError."""
    return _read(path)[0]


def session_path(root: Path, session_id: str) -> Path:
    """The file of a session. Raises SessionError when there is none of that name."""
    path = sessions_directory(root) / f"{session_id}.jsonl"
    if Path(session_id).name != session_id or not path.is_file():
        raise SessionError(f"there is no session {session_id} in this workspace", "see them with /resume")
    return path


def title_of(records: tuple[Record, ...]) -> str:
    """What the user called the session last, or else the first line the user wrote; "" without either."""
    title = next((record.title for record in reversed(records) if isinstance(record, TitleSet)), "")
    first = (record.text for record in (*active(records), *records) if isinstance(record, TurnBegan))
    return title or next(iter(next(first, "").strip().splitlines()), "")


def fork_session(root: Path, session_id: str) -> str:
    """Copy a session, so that both can be continued separately; returns the copy's id. Raises SessionError."""
    records = read_session(root, session_id)
    copy = new_journal(root, forked_from=session_id)
    try:
        copy.append_all((*records[1:], TitleSet(f"{title_of(records)} (fork)")))
    finally:
        copy.close()
    return copy.id


def rename_session(root: Path, session_id: str, title: str) -> None:
    """Give a session that is open nowhere a title. Raises SessionError."""
    journal = open_journal(root, session_id)
    try:
        journal.append(TitleSet(title))
    finally:
        journal.close()


def delete_session(root: Path, session_id: str) -> None:
    """Put a session that is open nowhere into the trash. Raises SessionError."""
    path = session_path(root, session_id)
    journal = Journal(path)
    try:
        send2trash(path)
    except OSError as error:
        raise SessionError(
            f"{path.name} cannot be put into the trash ({error})", f"delete {path} by hand"
        ) from error
    finally:
        journal.close()
