"""Checkpointing of a training run: text, hidden states, weights and optimizer on disk, to resume from.

They lie in a directory beside the result, which is removed when the result is published. Each file is replaced
whole (see `durable`), so a run that was killed resumes from the last one that is complete.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_model.config.model_config import read_json_object
from mlx_model.durable import publish_directory, replacing, sync, write_at
from mlx_model.errors import CheckpointError, ConfigError, EngineError
from mlx_model.train.corpus import Corpus
from mlx_model.weights.checkpoint import Checkpoint, entries_of
from mlx_model.weights.safetensors import read_header

Tensors = dict[str, mx.array]
_ENDED = "ended.json"
"""What a run tells at its end, from just before its result is published until its directory is removed."""


class Ended(EngineError):
    """The run that is asked for had ended already, and was killed before it could say so. `told`: what it
    tells."""

    exit_status = 0

    def __init__(self, out: Path, told: Mapping[str, Any]) -> None:
        super().__init__(f"{out} was finished by an earlier run of this command.")
        self.told = told


class Result(Protocol):
    """What a training comes to: a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def directory(self) -> Path:
        """Where it is published."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come. `fingerprint`: of its model and options; `collected`: sequences whose hidden
    states are on disk; `before`: acceptance rate by draft before training, each 0 to 1."""

    fingerprint: str
    collected: int = 0
    before: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Fitted:
    """Weights and optimizer after `step` steps, in float32. `loss`: moving average, in nats; `first` and
    `second`: Adam's moments."""

    step: int
    loss: float
    parameters: Tensors
    first: Tensors
    second: Tensors


class TrainingDirectory:
    """The directory of one training run."""

    def __init__(self, directory: Path, progress: Progress) -> None:
        self.directory = directory
        self.progress = progress

    @property
    def result(self) -> Path:
        """Where the resulting checkpoint is written until it is published."""
        return self.directory / "checkpoint"

    def note(self, *, collected: int | None = None, before: tuple[float, ...] | None = None) -> None:
        """Records progress on disk; None leaves a value unchanged. Raises CheckpointError."""
        collected = self.progress.collected if collected is None else collected
        before = self.progress.before if before is None else before
        self.progress = replace(self.progress, collected=collected, before=before)
        with self.written("progress.json") as temporary:
            temporary.write_text(json.dumps(asdict(self.progress)))

    def corpus(self) -> Corpus | None:
        """The text that the run began with; None where it has not begun."""
        file = self.directory / "corpus.npz"
        if not file.exists():
            return None
        with np.load(file) as stored:
            return Corpus(stored["sequences"], int(stored["held_out"]), int(stored["files"]))

    def keep_corpus(self, corpus: Corpus) -> None:
        """Saves the text: the user's files may change before the run resumes. Raises CheckpointError."""
        with self.written("corpus.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, sequences=corpus.sequences, held_out=corpus.held_out, files=corpus.files)

    def hidden_states(self, shape: tuple[int, ...], dtype: mx.Dtype) -> "HiddenStates":
        """Those of all sequences: [sequences, length, hidden]."""
        return HiddenStates(self.directory / "hidden.bin", shape, dtype)

    def fitted(self) -> Fitted | None:
        """The weights saved last; None where none were. Raises CheckpointError for a damaged file."""
        file = self.directory / "state.safetensors"
        if not file.exists():
            return None
        try:
            metadata = read_header(file).metadata
            step, loss = int(metadata["step"]), float(metadata["loss"])
            tensors = mx.load(str(file))
            mx.eval(tensors)
            assert isinstance(tensors, dict)
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(f"{file} is damaged ({error}): remove it to begin again.") from None
        parts: dict[str, Tensors] = {"parameters": {}, "first": {}, "second": {}}
        for name, tensor in tensors.items():
            part, _, own = name.partition("/")
            parts[part][own] = tensor
        return Fitted(step, loss, **parts)

    def keep_fitted(self, fitted: Fitted) -> None:
        """Saves weights, optimizer and step in one file. Raises CheckpointError."""
        tensors = {
            f"{part}/{name}": tensor
            for part in ("parameters", "first", "second")
            for name, tensor in getattr(fitted, part).items()
        }
        metadata = {"step": str(fitted.step), "loss": repr(fitted.loss)}
        with self.written("state.safetensors") as temporary:
            mx.save_safetensors(str(temporary), tensors, metadata)

    @contextmanager
    def written(self, name: str) -> Iterator[Path]:
        """A temporary file to write, which then replaces the file `name`. Raises CheckpointError."""
        try:
            with replacing(self.directory / name, self.directory / f"new-{name}") as temporary:
                yield temporary
        except (OSError, RuntimeError) as error:
            raise CheckpointError(f"{self.directory} cannot be written: {error}.") from None


class HiddenStates:
    """A file of hidden states [sequences, length, hidden], sequence after sequence, without a header; 16-bit
    floats as their bits."""

    def __init__(self, file: Path, shape: tuple[int, ...], dtype: mx.Dtype) -> None:
        self._file, self._shape, self.dtype = file, shape, dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return int(np.prod(self._shape, dtype=np.int64)) * self.dtype.size

    def write(self, index: int, states: mx.array) -> None:
        """Writes and syncs those of one sequence, [length, hidden]. Raises CheckpointError."""
        data = np.ascontiguousarray(np.array(self._bits(states))).reshape(-1).view(np.uint8).data
        try:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                write_at(descriptor, data, index * len(data))
                sync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise CheckpointError(f"{self._file} cannot be written: {error.strerror or error}.") from None

    def read(self, index: int) -> mx.array:
        """Those of one sequence, [1, length, hidden]. Raises CheckpointError."""
        size = self._shape[1] * self._shape[2]
        carrier = np.dtype(np.float32) if self.dtype == mx.float32 else np.dtype(np.uint16)
        try:
            data: NDArray[np.generic] = np.fromfile(
                self._file, dtype=carrier, count=size, offset=index * size * carrier.itemsize
            )
        except OSError as error:
            raise CheckpointError(f"{self._file} cannot be read: {error.strerror or error}.") from None
        if data.size < size:
            raise CheckpointError(f"{self._file} was cut short: remove {self._file.parent} to begin again.")
        array = mx.array(data.reshape(1, *self._shape[1:]))
        return array if self.dtype == mx.float32 else array.view(self.dtype)

    def _bits(self, states: mx.array) -> mx.array:
        return states if self.dtype == mx.float32 else states.view(mx.uint16)


@contextmanager
def open_training(out: Path, fingerprint: str) -> Iterator[TrainingDirectory]:
    """The directory of the run that will publish `out`, created or resumed, locked against other processes.

    Raises Ended where such a run had published `out` already, and CheckpointError where `out` exists otherwise,
    another process trains to it, or the directory is damaged or has another `fingerprint`.
    """
    exists = out.exists() or out.is_symlink()
    directory = out.parent / f".{out.name}.training"
    if exists and not directory.exists():
        raise _exists(out)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "lock").open("w")
    except OSError as error:
        raise CheckpointError(f"{directory} cannot be written: {error.strerror or error}.") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckpointError(f"Another training to {out} is running.") from None
        try:
            if exists:
                told = _told(directory, fingerprint)
                if told is None:
                    raise _exists(out)
                _remove(directory)
                raise Ended(out, told)
            yield TrainingDirectory(directory, _progress(directory, fingerprint))
        finally:
            # A run that was refused before it saved anything leaves no directory.
            if directory.exists() and [path.name for path in directory.iterdir()] == ["lock"]:
                shutil.rmtree(directory)


def run_fingerprint(options: Mapping[str, Any], checkpoint: Checkpoint) -> str:
    """Differs whenever an interrupted run cannot be resumed: with other options, or another model. Changed text
    files do not matter: a run keeps its text."""
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    digest.update((checkpoint.directory / "config.json").read_bytes())
    files: set[Path] = set()
    for item in checkpoint.stored:
        for entry in entries_of(item):
            digest.update(repr((entry.name, entry.file.name, entry.type, entry.shape, entry.offset)).encode())
            files.add(entry.file)
    for file in sorted(files):
        status = file.stat()
        digest.update(repr((str(file.resolve()), status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()


def publish(training: TrainingDirectory, result: Result) -> None:
    """Gives what was written to `training.result` its name, and removes the training directory. Raises
    CheckpointError."""
    told = {"fingerprint": training.progress.fingerprint, "told": as_json(result)}
    with training.written(_ENDED) as temporary:
        temporary.write_text(json.dumps(told))
    try:
        publish_directory(training.result, result.directory)
        _remove(training.directory)
    except OSError as error:
        raise CheckpointError(f"{result.directory} cannot be written: {error.strerror or error}.") from None


def as_json(result: Result) -> dict[str, Any]:
    """A result as it is printed and kept."""
    return {**asdict(result), "directory": str(result.directory)}


def _told(directory: Path, fingerprint: str) -> Mapping[str, Any] | None:
    """What the run of this fingerprint told when it published its result; None where it did not."""
    if (directory / "checkpoint").exists():
        return None
    try:
        ended = json.loads((directory / _ENDED).read_text())
        told: Mapping[str, Any] = ended["told"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return told if ended["fingerprint"] == fingerprint else None


def _remove(directory: Path) -> None:
    """Removes a training directory, last of all what its run told."""
    for path in directory.iterdir():
        if path.name != _ENDED:
            path.unlink()
    shutil.rmtree(directory)


def _exists(out: Path) -> CheckpointError:
    return CheckpointError(f"{out} exists already; remove it or choose another --out.")


def _progress(directory: Path, fingerprint: str) -> Progress:
    if not (directory / "progress.json").exists():
        return Progress(fingerprint)
    try:
        stored = read_json_object(directory / "progress.json")
        known = Progress(stored["fingerprint"], int(stored["collected"]), tuple(map(float, stored["before"])))
    except (ConfigError, KeyError, TypeError, ValueError):
        raise CheckpointError(f"{directory} is damaged: remove it to begin again.") from None
    if known.fingerprint != fingerprint:
        raise CheckpointError(
            f"{directory} has an unfinished training of another model, other data or other options: repeat its "
            "command, remove it, or choose another --out."
        )
    return known
