"""The file of a review's remarks: one line each, the newest line of an id counts.

Lines carry a checksum. One that is damaged, or was cut off by a crash, costs its remark and is counted.
"""

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

from app import durable
from app.checked_lines import sealed, unsealed
from app.review.errors import ReviewError
from app.review.model import Remark
from app.review.remarks.model import Answer, Note, ReadingOrder

MOST_REMARKS = 2_000
"""Remarks that stay when the file is tidied, the newest; chosen, not measured."""
_CLASSES: dict[str, type[Remark]] = {"answer": Answer, "note": Note, "order": ReadingOrder}
_KINDS = {made: kind for kind, made in _CLASSES.items()}

R = TypeVar("R", bound=Remark)


class RemarkStore:
    """Remarks of all windows and programs that review the same workspace; safe to call from several threads.

    Every method raises ReviewError when the disk refuses.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read: tuple[tuple[int, int, int], dict[int, Remark]] | None = None  # by inode, size and time
        self.lost = 0
        """Lines that could not be read."""

    def all(self) -> tuple[Remark, ...]:
        """The remarks, the oldest first."""
        try:
            facts = self._file.stat()
            seen = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
            known = self._read
            if known is None or known[0] != seen:
                known = self._read = (seen, self._decode(self._file.read_bytes()))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise ReviewError(f"{self._file} cannot be read ({error.strerror})") from error
        return tuple(known[1].values())

    def add(self, remark: R) -> R:
        """Keep a remark; returns it with its id, whatever that was."""
        with self._changing():
            numbered = replace(remark, id=max((one.id for one in self.all()), default=0) + 1)
            self._append(numbered)
            return numbered

    def change(self, remark: Remark, text: str) -> None:
        """Put other words in the place of a remark's; "" removes it."""
        with self._changing():
            self._append(replace(remark, text=text))

    def keep_only(self, is_wanted: Callable[[Remark], bool]) -> None:
        """Remove all other remarks, and the oldest of too many."""
        if all(map(is_wanted, before := self.all())) and len(before) <= MOST_REMARKS:
            return
        with self._changing():
            left = [remark for remark in self.all() if is_wanted(remark)][-MOST_REMARKS:]
            durable.replace_file(self._file, map(_encode, left))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Keeps other windows out while one reads and writes."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Not the file itself: tidied, it is another one.
            with self._file.with_suffix(".lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise ReviewError(f"{self._file} cannot be written ({error.strerror})") from error

    def _append(self, remark: Remark) -> None:
        with self._file.open("a+b", buffering=0) as file:
            file.seek(0)
            data = file.read()
            # A line that a crash cut off must not take the next one with it.
            end = b"" if not data or data.endswith(b"\n") else b"\n"
            durable.append(file.fileno(), end + _encode(remark))

    def _decode(self, data: bytes) -> dict[int, Remark]:
        found: dict[int, Remark] = {}
        self.lost = 0
        for line in data.splitlines():
            try:
                fields = json.loads(unsealed(line))
                remark = _CLASSES[fields.pop("kind")](**fields)
            except (ValueError, TypeError, KeyError, AttributeError):
                self.lost += 1
                continue
            if remark.text:
                found[remark.id] = remark
            else:
                with suppress(KeyError):
                    del found[remark.id]
        return found


def _encode(remark: Remark) -> bytes:
    fields = {"kind": _KINDS[type(remark)], **asdict(remark)}
    return sealed(json.dumps(fields).encode() + b"\n")
