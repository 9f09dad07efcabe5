"""The generated tokens of replies, found again when a client sends the replies back as text.

A client returns a reply as text and parsed tool calls. Encoding these anew can give other tokens than the model
generated, which would invalidate the cached state from there on. So each reply's tokens are stored under a key
of all tokens before it and of the message in a normal form: white space around the text trimmed, arguments as
JSON values rather than text.
"""

import hashlib
import json
import logging
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from xxhash import xxh3_128_digest

from mlx_model.state.prefix_state import as_tokens

_log = logging.getLogger(__name__)

Ends = Callable[[], Iterable[tuple[str, Sequence[int]]]]
"""After a disconnect: every prefix of a reply that the client may hold, longest first, with its tokens."""

_IN_MEMORY = 1000
_ON_DISK = 50_000
"""Replies kept. An agent's have some hundred tokens of 4 bytes each, so about 1 MB and 50 MB."""
_TRIM_EVERY = 1000
"""Replies written between two deletions of the oldest ones on disk."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS replies"
    " (key BLOB PRIMARY KEY, tokens BLOB NOT NULL, checksum BLOB NOT NULL, used REAL NOT NULL) WITHOUT ROWID"
)
_TRIM = "DELETE FROM replies WHERE key IN (SELECT key FROM replies ORDER BY used DESC LIMIT -1 OFFSET ?)"


class RememberedReplies:
    """A table of replies, in memory and, given a `path`, in an SQLite database, which several processes may
    share. A database that fails is a miss and one log line. Safe from any thread."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._recent: OrderedDict[bytes, tuple[int, ...]] = OrderedDict()
        self._in_progress: dict[bytes, list[Ends]] = {}
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._written = 0
        if path is not None:
            self._open(path)

    def remember(self, prefix: bytes, message: Mapping[str, Any], tokens: Sequence[int]) -> None:
        """Stores a reply: `message` as the client received it, `tokens` as generated; `prefix`: the digest of
        the prompt's tokens."""
        key = _reply_key(prefix, message)
        data = as_tokens(tokens).astype("<u4").tobytes()
        with self._lock:
            self._keep(key, tuple(tokens))
            row = (key, data, xxh3_128_digest(key + data), time.time())
            self._execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)", row)
            self._written += 1
            if self._written % _TRIM_EVERY == 1:
                self._execute(_TRIM, (_ON_DISK,))

    @contextmanager
    def in_progress(self, prefix: bytes, ends: Ends) -> Iterator[None]:
        """A context in which a reply to the prompt with the digest `prefix` is being generated. A client may
        disconnect and send a prefix of the reply back before the server notices: `find` looks in `ends` too."""
        with self._lock:
            self._in_progress.setdefault(prefix, []).append(ends)
        try:
            yield
        finally:
            with self._lock:
                self._in_progress[prefix].remove(ends)
                if not self._in_progress[prefix]:
                    del self._in_progress[prefix]

    def find(self, prefix: bytes, message: Mapping[str, Any]) -> tuple[int, ...] | None:
        """The tokens generated after `prefix` that the client received as `message`; None where unknown."""
        key = _reply_key(prefix, message)
        with self._lock:
            tokens = self._recent.get(key)
            if tokens is None:
                rows = self._execute("SELECT tokens, checksum FROM replies WHERE key = ?", (key,))
                if not rows or rows[0][1] != xxh3_128_digest(key + rows[0][0]):
                    return self._find_in_progress(prefix, key)
                tokens = tuple(np.frombuffer(rows[0][0], dtype="<u4").tolist())
                self._execute("UPDATE replies SET used = ? WHERE key = ?", (time.time(), key))
            self._keep(key, tokens)
            return tokens

    def _find_in_progress(self, prefix: bytes, key: bytes) -> tuple[int, ...] | None:
        ends = (end for known in self._in_progress.get(prefix, ()) for end in known())
        return next(
            (tuple(tokens) for text, tokens in ends if _reply_key(prefix, {"content": text}) == key), None
        )

    def close(self) -> None:
        """Close the database; replies in memory stay usable."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _keep(self, key: bytes, tokens: tuple[int, ...]) -> None:
        self._recent[key] = tokens
        self._recent.move_to_end(key)
        if len(self._recent) > _IN_MEMORY:
            self._recent.popitem(last=False)

    def _open(self, path: Path) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._database = _connect(path)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise  # cannot be opened, or is busy: not damaged
                _log.warning("The database of replies %s was begun anew: %s.", path, error)
                _remove(path)
                self._database = _connect(path)
            self._file = _identity(path)
        except (sqlite3.Error, OSError) as error:
            _log.warning("The database of replies %s cannot be used: %s.", path, error)

    def _execute(self, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        """The rows of a statement, run in its own transaction. When it fails: none, and the database is
        closed."""
        if self._database is not None and self._path is not None and _identity(self._path) != self._file:
            # The cache was cleared: what is written to the deleted file would be lost.
            self._database.close()
            self._database = None
            self._open(self._path)
        if self._database is None:
            return []
        try:
            with self._database:
                return self._database.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                return []  # another engine is writing: this one reply is missed
            _log.warning("The database of replies %s is given up until the next start: %s.", self._path, error)
            damaged = not isinstance(error, sqlite3.OperationalError)
            self._database.close()
            self._database = None
            if damaged and self._path is not None:
                _remove(self._path)
            return []


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=1.0, check_same_thread=False)
    try:
        path.chmod(0o600)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(_SCHEMA)
        database.execute("SELECT key FROM replies LIMIT 1").fetchall()
    except sqlite3.Error:
        database.close()
        raise
    return database


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        try:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        except OSError as error:
            _log.warning("The damaged database of replies %s cannot be removed: %s.", path, error)


def _reply_key(prefix: bytes, message: Mapping[str, Any]) -> bytes:
    calls = [call.get("function", call) for call in message.get("tool_calls") or ()]
    described = {
        "content": (message.get("content") or "").strip(),
        "tool_calls": [[call.get("name"), _comparable(call.get("arguments"))] for call in calls],
    }
    text = json.dumps(described, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(prefix + text.encode(), digest_size=16).digest()


def _comparable(arguments: Any) -> Any:
    """Arguments as JSON values; as text where they are nested too deeply."""
    try:
        return _value(_parsed(arguments))
    except RecursionError:
        return str(arguments)


def _parsed(arguments: Any) -> Any:
    """Arguments given as JSON text or as a mapping; text that is not JSON stays text."""
    if not isinstance(arguments, str):
        return arguments or {}
    try:
        return json.loads(arguments) if arguments.strip() else {}
    except ValueError:
        return arguments


def _value(value: Any) -> Any:
    """A value with integral floats as integers: JSON has one type of number, and some clients write 1.0 as
    1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): _value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value]
    return value
