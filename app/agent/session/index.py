"""The sessions of a workspace, found without reading every file each time.

An index lies beside the sessions: what a list shows of each and the words in it, with the size and the time
of the file they were taken from. A file that has changed since is read again, one that has gone is forgotten.
The index holds nothing that the files do not; where it cannot be used, it is made anew in memory.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from app.agent.errors import SessionError
from app.agent.session.records import MessageAdded, Record, SessionBegan, ShellRan, SteeringGiven, TurnBegan
from app.agent.session.session import read_records, sessions_directory, title_of

_VERSION = 1
"""Of the tables. An index of another version is made again from the sessions."""
_NAME = "index.sqlite"
_TABLE = (
    "CREATE TABLE IF NOT EXISTS sessions (name TEXT PRIMARY KEY, size INTEGER, modified INTEGER, created TEXT,"
    " title TEXT, turns INTEGER, words TEXT, said TEXT)"
)


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """A session as a list shows it. `title` is what the user called it, or the first line the user wrote;
    `used` is when something was last said, in seconds since the epoch."""

    id: str
    path: Path
    created: str
    title: str
    turns: int
    used: float


def sessions(root: Path, query: str = "") -> Iterator[SessionSummary]:
    """The sessions of the workspace at `root` in which something was said, the last used first; with `query`,
    those in whose title or words, the user's or the model's, each word of it occurs in any case."""
    directory = sessions_directory(root)
    wanted = _text(query).casefold().split()
    tests = "".join(" AND instr(words, ?)" for _ in wanted)
    with closing(_index(directory)) as index:
        found = index.execute(
            "SELECT name, created, title, turns, modified FROM sessions"
            f" WHERE turns > 0{tests} ORDER BY modified DESC, name DESC",
            wanted,
        ).fetchall()
    for name, created, title, turns, modified in found:
        yield SessionSummary(name, directory / f"{name}.jsonl", created, title, turns, modified / 1e9)


def last_session(root: Path) -> str:
    """The id of the session that was used last. Raises SessionError where there is none."""
    summary = next(sessions(root), None)
    if summary is None:
        raise SessionError("there is no earlier session in this directory", "leave --continue out")
    return summary.id


def last_said(root: Path, limit: int) -> list[str]:
    """What the user wrote last in this workspace, in any session: at most `limit`, the newest last."""
    said: list[list[str]] = []
    with closing(_index(sessions_directory(root))) as index:
        for (texts,) in index.execute("SELECT said FROM sessions ORDER BY modified DESC, name DESC"):
            said.append(json.loads(texts))
            if sum(map(len, said)) >= limit:
                break
    return [text for texts in reversed(said) for text in texts][-limit:]


def _index(directory: Path) -> sqlite3.Connection:
    """The index, as the files are now."""
    path = directory / _NAME
    if directory.is_dir():
        try:
            if not path.exists():
                path.touch(mode=0o600)  # what was said is nobody else's business
            return _opened(path, directory)
        except (sqlite3.OperationalError, OSError):
            pass  # in use for long, or the disk is full or may not be written to
        except sqlite3.DatabaseError:
            with suppress(OSError):
                path.unlink(missing_ok=True)  # damaged: made anew the next time
    return _opened(":memory:", directory)


def _opened(path: Path | str, directory: Path) -> sqlite3.Connection:
    index = sqlite3.connect(path, timeout=2.0)
    try:
        with index:
            if index.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                index.execute("DROP TABLE IF EXISTS sessions")
                index.execute(f"PRAGMA user_version = {_VERSION}")
            index.execute(_TABLE)
            _refresh(index, directory)
    except sqlite3.Error:
        index.close()
        raise
    return index


def _refresh(index: sqlite3.Connection, directory: Path) -> None:
    rows = index.execute("SELECT name, size, modified FROM sessions")
    known = {name: (size, modified) for name, size, modified in rows}
    there = set()
    for path in directory.glob("*.jsonl"):
        try:
            status = path.stat()
        except OSError:
            continue  # another window discarded it
        there.add(path.stem)
        state = (status.st_size, status.st_mtime_ns)
        if known.get(path.stem) != state:
            row = (path.stem, *state, *_described(path))
            index.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    index.executemany("DELETE FROM sessions WHERE name = ?", [(name,) for name in known.keys() - there])


def _described(path: Path) -> tuple[str, str, int, str, str]:
    """When it was begun, its title, how many turns it has, its words for searching, and what the user said."""
    try:
        records = read_records(path)
        turns = sum(isinstance(record, TurnBegan) for record in records)
        if turns:
            created = first.created if isinstance(first := records[0], SessionBegan) else ""
            title = _text(title_of(records))
            said = [text for text in map(_said, records) if text]
            words = "\n".join([title, *map(_words, records)]).casefold()
            return created, title, turns, _text(words), json.dumps(said)
    except (SessionError, OSError, ValueError):
        pass  # what cannot be read cannot be offered; opening it by name says why
    return "", "", 0, "", "[]"


def _said(record: Record) -> str:
    if isinstance(record, ShellRan):
        return f"!{record.command}"
    return record.text if isinstance(record, TurnBegan | SteeringGiven) else ""


def _words(record: Record) -> str:
    match record:
        case TurnBegan(text=text) | SteeringGiven(text=text):
            return text
        case MessageAdded(message=message) if message.role == "assistant":
            return message.content
    return ""


def _text(text: str) -> str:
    """As the database takes it: no half characters, and no end in the middle."""
    return text.encode("utf-8", "replace").decode().replace("\0", " ")
