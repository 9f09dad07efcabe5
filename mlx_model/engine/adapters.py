"""The adapters of a model: which ones there are, and which one it has on.

An adapter is small beside its base, and is laid over the base's projections: changing it reads only its own
files. Those that were used last stay in memory.
"""

import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import platformdirs

from mlx_model.config.model_config import ModelConfig
from mlx_model.engine.state_keeper import StoredStates
from mlx_model.errors import CheckpointError, ConfigError, RequestError
from mlx_model.layers.drafters.mtp import MultiTokenPrediction
from mlx_model.layers.low_rank import LowRankUpdate
from mlx_model.layers.parameters import Parameters
from mlx_model.model import Qwen3Next
from mlx_model.state.disk.fingerprint import adapter_fingerprint
from mlx_model.weights.adapter import ADAPTER_FILES, Update, is_adapter, read_adapter
from mlx_model.weights.checkpoint import Checkpoint, open_mtp
from mlx_model.weights.unpacking import unpacked_tensors

BASE = "none"
"""What a request calls the model without any adapter."""
MTP_FOLDER = "mtp"
"""Where an adapter keeps the MTP layer that was fitted to the model with it, if any."""
_MOST_HELD = 4
"""Adapters in memory at once: at rank 16 over all but the experts, one of Qwen3-Coder-Next is about 0.1 GB."""


def default_adapter_folder() -> Path:
    """Where adapters lie by default, one directory each: under the user's data folder, or under `TIDEGATE_HOME`
    where it is set."""
    home = os.environ.get("TIDEGATE_HOME")
    if home:
        return Path(home).expanduser() / "data" / "adapters"
    return Path(platformdirs.user_data_dir("tidegate", appauthor=False)) / "adapters"


def adapter_directory(named: str, folder: Path | None = None) -> Path:
    """The adapter that a command line names: a directory, or the name of one in the folder of adapters."""
    directory = Path(named).expanduser()
    inside = (folder or default_adapter_folder()) / named
    return inside if not directory.is_dir() and Path(named).name == named and inside.is_dir() else directory


_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class _Held:
    """An adapter in memory, and the key of the states that are computed under it."""

    stamp: _Stamp
    key: bytes
    updates: Mapping[str, LowRankUpdate]
    mtp: MultiTokenPrediction | None
    nbytes: int


class Adapters:
    """The adapters that a model may be asked for: all in `folder`, and the one in `first`, which is the default
    of requests. `resolve` and `listed` may be called from any thread, `use` from the engine's alone."""

    def __init__(
        self,
        model: Qwen3Next,
        states: StoredStates | None = None,
        *,
        first: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        self._model = model
        self._states = states
        self._first = first
        self._folder = folder
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self.default = "" if first is None else _name(first)
        """The adapter of requests that name none; "" for none."""
        self.current = ""
        """The adapter that the model has on; "" for none."""
        self._on: _Held | None = None
        self._own_mtp = model.mtp

    def resolve(self, asked: str | None) -> str:
        """The adapter that a request asks for; "" for none. Raises RequestError for one that there is not."""
        if asked is None:
            return self.default
        if asked == BASE:
            return ""
        if asked not in self._places():
            known = ", ".join(self._places()) or "none"
            raise RequestError(f"There is no adapter {asked!r} here; there are: {known}.")
        return asked

    def listed(self) -> list[dict[str, Any]]:
        """All adapters, for display."""
        held = dict(self._held)
        return [
            {
                "id": name,
                "object": "adapter",
                "directory": str(directory),
                "default": name == self.default,
                "on": name == self.current,
                "loaded_bytes": held[name].nbytes if name in held else 0,
            }
            for name, directory in self._places().items()
        ]

    def use(self, name: str) -> None:
        """Has the model compute under this adapter, "" for none, and its states be kept apart from those of
        others. Reads the adapter where it is not in memory, or has changed on disk. Raises RequestError,
        CheckpointError or ConfigError; the model is then as it was."""
        if not name:
            self._set("", None)
            return
        directory = self._places().get(name)
        if directory is None:
            raise RequestError(f"The adapter {name!r} is gone.")
        held, stamp = self._held.get(name), _stamp(directory)
        if held is None or held.stamp != stamp:
            updates = prepared(self._model, read_adapter(directory, self._model.config))
            nbytes = sum(update.nbytes for update in updates.values())
            mtp = None
            if self._own_mtp is not None and (directory / MTP_FOLDER).is_dir():
                mtp, own = _read_mtp(directory / MTP_FOLDER, self._model)
                nbytes += own
            held = _Held(stamp, adapter_fingerprint(directory, ADAPTER_FILES), updates, mtp, nbytes)
            if _stamp(directory) != stamp:
                raise CheckpointError(f"{directory} was changed while it was read; try again.")
            self._held[name] = held
        self._held.move_to_end(name)
        self._set(name, held)
        while len(self._held) > _MOST_HELD:
            self._held.popitem(last=False)

    def drop_idle(self) -> int:
        """Drops the adapters that the model does not have on; returns their bytes."""
        idle = [name for name in self._held if name != self.current]
        return sum(self._held.pop(name).nbytes for name in idle)

    def _set(self, name: str, held: _Held | None) -> None:
        self.current = name
        if held is self._on:
            return
        self._on = held
        self._model.set_adapter({} if held is None else held.updates)
        self._model.mtp = (held.mtp if held is not None else None) or self._own_mtp
        if self._states is not None:
            self._states.computed_under(b"" if held is None else held.key)

    def _places(self) -> dict[str, Path]:
        """The directory of each adapter, by name."""
        found: dict[str, Path] = {}
        if self._folder is not None and self._folder.is_dir():
            found = {path.name: path for path in sorted(self._folder.iterdir()) if is_adapter(path)}
        if self._first is not None:
            found[self.default] = self._first
        return found


def prepared(model: Qwen3Next, updates: Mapping[str, Update]) -> dict[str, LowRankUpdate]:
    """The updates as the model takes them (Qwen3Next.set_adapter), evaluated, in its dtype. Raises
    ConfigError."""
    check_experts(updates, resident=any(".experts." in path for path in model.adaptable))
    return {
        path: model.adaptable[path].prepared(update.a, update.b, update.magnitude, model.dtype)
        for path, update in updates.items()
    }


def _read_mtp(directory: Path, model: Qwen3Next) -> tuple[MultiTokenPrediction, int]:
    """The MTP layer in a folder, in the model's dtype, and its bytes. Raises ConfigError or CheckpointError."""
    config = ModelConfig.from_directory(directory)
    layer = Checkpoint(directory, config, open_mtp(directory, model.config), has_mtp=True)
    stored: Iterable[tuple[str, mx.array]] = layer.tensors()
    packings = layer.quantization
    if model.mtp is not None and model.mtp.fc.matrices[0].packing is None:
        # The model's weights were widened, or were never packed.
        stored, packings = unpacked_tensors(stored, packings), {}
    tensors = {
        name: tensor.astype(model.dtype) if mx.issubdtype(tensor.dtype, mx.floating) else tensor
        for name, tensor in stored
    }
    mx.eval(tensors)
    layer_bytes = sum(tensor.nbytes for tensor in tensors.values())
    return MultiTokenPrediction(config, Parameters(tensors, packings).scope("mtp")), layer_bytes


def check_experts(updates: Mapping[str, Update], *, resident: bool) -> None:
    """Raises ConfigError where experts are to be adapted that are not all in memory."""
    if not resident and any(".experts." in path for path in updates):
        raise ConfigError("An adapter of the experts needs all of them in memory: leave --expert-slots out.")


def _name(directory: Path) -> str:
    return directory.resolve().name


def _stamp(directory: Path) -> _Stamp:
    fitted = directory / MTP_FOLDER
    names = (*ADAPTER_FILES, MTP_FOLDER) if fitted.is_dir() else ADAPTER_FILES
    try:
        found = [(directory / name).stat() for name in names]
    except OSError as error:
        raise CheckpointError(f"{directory} cannot be read: {error.strerror or error}.") from None
    return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in found)
