"""What an unfinished training keeps on disk, so that it goes on where it was, whatever ended it.

Everything is written under another name first and renamed: what has its name is whole. It lies in a directory
beside the result, which is gone when the result is there.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_model.config.model_config import read_json_object
from mlx_model.errors import CheckpointError, ConfigError
from mlx_model.train.corpus import Corpus
from mlx_model.weights.safetensors import read_header

Tensors = dict[str, mx.array]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training has come. `fingerprint`: of the model and the options it belongs to; `collected`: of
    how many sequences the hidden states are on disk; `before`: acceptance by draft at the beginning."""

    fingerprint: str
    collected: int = 0
    before: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Fitted:
    """Weights and optimizer after `step` steps; `loss` is the mean of late. `first` and `second` are Adam's
    moments."""

    step: int
    loss: float
    parameters: Tensors
    first: Tensors
    second: Tensors


class Staging:
    """The directory of one training."""

    def __init__(self, directory: Path, progress: Progress) -> None:
        self.directory = directory
        self.progress = progress

    @property
    def result(self) -> Path:
        """Where the result grows."""
        return self.directory / "checkpoint"

    def note(self, *, collected: int | None = None, before: tuple[float, ...] | None = None) -> None:
        """Remembers what is done. Raises CheckpointError."""
        collected = self.progress.collected if collected is None else collected
        before = self.progress.before if before is None else before
        self.progress = replace(self.progress, collected=collected, before=before)
        with self._written("progress.json") as temporary:
            temporary.write_text(json.dumps(asdict(self.progress)))

    def corpus(self) -> Corpus | None:
        """The text that the training began with, if it did."""
        file = self.directory / "corpus.npz"
        if not file.exists():
            return None
        with np.load(file) as stored:
            return Corpus(stored["sequences"], int(stored["held_out"]), int(stored["files"]))

    def keep_corpus(self, corpus: Corpus) -> None:
        """Remembers the text: the user's files may change before the training goes on. Raises
        CheckpointError."""
        with self._written("corpus.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, sequences=corpus.sequences, held_out=corpus.held_out, files=corpus.files)

    def hidden_states(self, shape: tuple[int, ...], dtype: mx.Dtype) -> "HiddenStates":
        """Those of all sequences: [sequences, length, hidden]."""
        return HiddenStates(self.directory / "hidden.bin", shape, dtype)

    def fitted(self) -> Fitted | None:
        """The newest weights, if there are any. Raises CheckpointError."""
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
        """Remembers weights, optimizer and place as one. Raises CheckpointError."""
        tensors = {
            f"{part}/{name}": tensor
            for part in ("parameters", "first", "second")
            for name, tensor in getattr(fitted, part).items()
        }
        metadata = {"step": str(fitted.step), "loss": repr(fitted.loss)}
        with self._written("state.safetensors") as temporary:
            mx.save_safetensors(str(temporary), tensors, metadata)

    @contextmanager
    def _written(self, name: str) -> Iterator[Path]:
        """A file to write, which gets its name when it is on the disk."""
        temporary = self.directory / f"new-{name}"
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(self.directory / name)
        except (OSError, RuntimeError) as error:
            raise CheckpointError(f"{self.directory} cannot be written: {error}.") from None


class HiddenStates:
    """A file of hidden states, a sequence after the other; bfloat16 as its bits."""

    def __init__(self, file: Path, shape: tuple[int, ...], dtype: mx.Dtype) -> None:
        self._file, self._shape, self.dtype = file, shape, dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return int(np.prod(self._shape, dtype=np.int64)) * self.dtype.size

    def write(self, index: int, states: mx.array) -> None:
        """Puts those of one sequence [length, hidden] on the disk. Raises CheckpointError."""
        data = np.ascontiguousarray(np.array(self._bits(states))).reshape(-1).view(np.uint8).data
        try:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                offset = index * len(data)
                while data:
                    written = os.pwrite(descriptor, data, offset)
                    data, offset = data[written:], offset + written
                os.fsync(descriptor)
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
def open_staging(out: Path, fingerprint: str) -> Iterator[Staging]:
    """The directory of the training that is to become `out`, begun or gone on with; locked. Raises
    CheckpointError."""
    if out.exists() or out.is_symlink():
        raise CheckpointError(f"{out} exists already; remove it or choose another --out.")
    directory = out.parent / f".{out.name}.training"
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
            yield Staging(directory, _progress(directory, fingerprint))
        finally:
            # What was refused leaves nothing behind.
            if directory.exists() and [path.name for path in directory.iterdir()] == ["lock"]:
                shutil.rmtree(directory)


def finish(staging: Staging, out: Path) -> None:
    """Gives the result its name and removes what it needed. Raises CheckpointError."""
    try:
        staging.result.rename(out)
        shutil.rmtree(staging.directory)
    except OSError as error:
        raise CheckpointError(f"{out} cannot be written: {error.strerror or error}.") from None


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
