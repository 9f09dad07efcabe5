"""The staging directory of a conversion: it lies beside the result, survives an interruption, and is renamed to
the result's name when it is complete."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlx_model.config.model_config import read_json_object
from mlx_model.durable import publish_directory, replacing, sync_path
from mlx_model.errors import CheckpointError, ConfigError

_JOURNAL = "conversion.json"
_LOCK = "conversion.lock"


@dataclass(frozen=True, slots=True)
class Staging:
    """The directory, the fingerprint of the conversion, and how many modules an earlier run of it has
    finished."""

    directory: Path
    fingerprint: str
    done: int

    def note(self, done: int) -> None:
        """Records that the first `done` modules are on the disk. Raises CheckpointError."""
        journal = self.directory / _JOURNAL
        try:
            with replacing(journal, journal.with_name(f"{_JOURNAL}.new")) as temporary:
                temporary.write_text(json.dumps({"fingerprint": self.fingerprint, "done": done}))
        except OSError as error:
            raise _unwritable(self.directory, error) from None

    def publish(self, out: Path) -> None:
        """Syncs all files and renames the directory to `out`. Raises CheckpointError."""
        try:
            publish_directory(self.directory, out)
            for name in (_JOURNAL, _LOCK):
                (out / name).unlink(missing_ok=True)
            sync_path(out)
        except OSError as error:
            raise _unwritable(out, error) from None


@contextmanager
def staging(out: Path, fingerprint: str) -> Iterator[Staging]:
    """The staging directory of `out`, locked against other processes and emptied where it is of another
    fingerprint. Raises CheckpointError."""
    directory = out.parent / f".{out.name}.converting"
    try:
        directory.mkdir(exist_ok=True)
        lock = (directory / _LOCK).open("w")
    except OSError as error:
        raise _unwritable(directory, error) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckpointError(f"Another conversion to {out} is running.") from None
        done = _noted(directory, fingerprint)
        if done == 0:
            _empty(directory)
        yield Staging(directory, fingerprint, done)


def _empty(directory: Path) -> None:
    try:
        for path in directory.iterdir():
            if path.name != _LOCK:
                path.unlink()
    except OSError as error:
        raise CheckpointError(f"{directory} cannot be emptied: {error.strerror or error}.") from None


def _noted(directory: Path, fingerprint: str) -> int:
    try:
        journal = read_json_object(directory / _JOURNAL)
    except ConfigError:
        return 0
    done = journal.get("done")
    return done if journal.get("fingerprint") == fingerprint and isinstance(done, int) else 0


def _unwritable(directory: Path, error: OSError) -> CheckpointError:
    return CheckpointError(f"{directory} cannot be written: {error.strerror or error}.")
