"""The file of marks: one key a line, the newest last. It is written whole, and read again when another window
wrote it."""

import fcntl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from app import durable
from app.review.errors import ReviewError

MOST_MARKS = 50_000
"""Marks that are kept, the newest: 1.7 MB. What an older one was on is open again; chosen, not measured."""


class SeenMarks:
    """The marks of a workspace. Every method raises ReviewError when the disk refuses."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read: tuple[tuple[int, int, int], dict[str, None]] | None = None

    def all(self) -> Collection[str]:
        """Every key that is marked."""
        return self._marks().keys()

    def change(self, keys: Collection[str], *, is_seen: bool) -> None:
        """Mark these keys, or take their marks away."""
        with self._changing():
            marks = {key: None for key in self._marks() if key not in keys}
            if is_seen:
                marks |= dict.fromkeys(keys)
            newest = list(marks)[-MOST_MARKS:]
            durable.replace_file(self._file, [f"{key}\n".encode() for key in newest])

    def _marks(self) -> dict[str, None]:
        try:
            facts = self._file.stat()
            state = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
            if self._read is None or self._read[0] != state:
                # A line that is no key is the key of nothing.
                self._read = (state, dict.fromkeys(self._file.read_text("utf-8", "replace").split()))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ReviewError(f"{self._file} cannot be read", error.strerror or "") from error
        return self._read[1]

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._file.with_suffix(".lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise ReviewError(f"{self._file} cannot be written", error.strerror or "") from error
