"""Text that was written and not saved, kept where a crash does not reach it.

Each process has a folder of its own, locked for as long as it lives: what lies in a folder that nobody holds
was left by one that died.
"""

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from app import durable
from app.editing.errors import RecoveryFailed
from app.locks import is_unlocked
from app.paths import data_directory

_LOCK = "lock"
_ENDING = ".unsaved"


@dataclass(frozen=True, slots=True)
class Unsaved:
    """Text of the file `path`, written at the time `at` (seconds since 1970) and not saved. `base` is the
    digest of what the file held when it was opened; `copy` is where the text lies."""

    path: str
    text: str
    base: str
    at: float
    copy: Path


class Recovery:
    """The copies for the workspace `root`. Blocks on the disk: call it in a thread. Raises RecoveryFailed."""

    def __init__(self, root: Path) -> None:
        self._all = data_directory() / "unsaved" / sha256(os.fsencode(root)).hexdigest()[:16]
        self._own: Path | None = None
        self._lock = -1

    def keep(self, path: str, text: str, base: str) -> None:
        """Keep the text of `path`, in place of what was kept of it before."""
        body = text.encode("utf-8", "surrogatepass")
        head = {"path": path, "base": base, "at": time.time(), "sha256": sha256(body).hexdigest()}
        try:
            durable.replace_file(self._copy(self._folder(), path), (json.dumps(head).encode() + b"\n", body))
        except OSError as error:
            raise RecoveryFailed(
                f"what you write cannot be kept safe from a crash ({error.strerror})", "save often"
            ) from error

    def drop(self, path: str) -> None:
        """Forget what was kept of `path`: it is saved, or not wanted."""
        if self._own is not None:
            self._copy(self._own, path).unlink(missing_ok=True)

    def left(self) -> tuple[Unsaved, ...]:
        """What processes that are gone have left, of each file the latest, by path."""
        latest: dict[str, Unsaved] = {}
        for folder in self._abandoned():
            for copy in folder.glob(f"*{_ENDING}"):
                found = _read(copy)
                if found is not None and (found.path not in latest or latest[found.path].at < found.at):
                    latest[found.path] = found
        return tuple(latest[path] for path in sorted(latest))

    def forget(self, path: str) -> None:
        """Remove all that was left of `path`."""
        for folder in self._abandoned():
            self._copy(folder, path).unlink(missing_ok=True)
            if not any(folder.glob(f"*{_ENDING}")):
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Give the lock back. What is kept stays, to be found as left."""
        if self._own is not None:
            if not any(self._own.glob(f"*{_ENDING}")):
                shutil.rmtree(self._own, ignore_errors=True)
            os.close(self._lock)
            self._own = None

    def _folder(self) -> Path:
        if self._own is None:
            own = self._all / secrets.token_hex(8)
            own.mkdir(parents=True, mode=0o700)
            self._lock = os.open(own / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, durable.PRIVATE)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self._own = own
        return self._own

    @staticmethod
    def _copy(folder: Path, path: str) -> Path:
        return folder / f"{sha256(os.fsencode(path)).hexdigest()[:32]}{_ENDING}"

    def _abandoned(self) -> Iterator[Path]:
        with suppress(OSError):
            for folder in sorted(self._all.iterdir()):
                if folder != self._own and is_unlocked(folder / _LOCK):
                    yield folder


def _read(copy: Path) -> Unsaved | None:
    """What lies there; None where it is not whole."""
    try:
        head, _, body = copy.read_bytes().partition(b"\n")
        facts = json.loads(head)
        if sha256(body).hexdigest() != facts["sha256"]:
            return None
        text = body.decode("utf-8", "surrogatepass")
        return Unsaved(facts["path"], text, facts["base"], facts["at"], copy)
    except (OSError, ValueError, KeyError, TypeError):
        return None
