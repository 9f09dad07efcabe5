"""The expert frequencies on disk, so that after a restart the slots are filled with the most used experts."""

import logging
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mlx_model.durable import replacing
from mlx_model.state.disk.folder import partial_path
from mlx_model.weights.experts.residency import Residency
from mlx_model.weights.experts.slots import Frequencies

_SAVE_SECONDS = 30.0
"""The least time between two writes of the file, a few hundred kilobytes."""

_log = logging.getLogger(__name__)


def read_expert_use(file: Path) -> dict[str, Frequencies]:
    """The frequencies [experts] by the bank's path; none where there is no readable file, which costs a cold
    start and, if it is damaged, a log line."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            found = {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        _log.warning("%s cannot be read and is left aside: %s.", file, error)
        return {}
    return {
        name: array.astype(np.float64)
        for name, array in found.items()
        if array.ndim == 1 and np.issubdtype(array.dtype, np.floating) and np.isfinite(array).all()
    }


def write_expert_use(file: Path, frequencies: Mapping[str, Frequencies]) -> None:
    """Replaces the file whole. A disk that fails costs a log line."""
    arrays: dict[str, Any] = {name: array.astype(np.float32) for name, array in frequencies.items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file, partial_path(file.parent)) as partial, partial.open("wb") as stream:
            np.savez(stream, **arrays)
    except OSError as error:
        _log.warning("%s cannot be written: %s.", file, error)


class UseRecord:
    """Writes the frequencies of a running model to a file from time to time, for an engine may be killed. Used
    from the engine's thread."""

    def __init__(self, file: Path, residency: Residency, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._residency = residency
        self._clock = clock
        self._saved_at = float("-inf")
        self._saved = residency.counts.needed

    def save_if_due(self) -> None:
        """Saves, once in _SAVE_SECONDS at most. Called between replies."""
        if self._clock() - self._saved_at >= _SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Writes the file, if any expert was used since the last time."""
        needed = self._residency.counts.needed
        if needed != self._saved:
            write_expert_use(self._file, self._residency.frequencies())
            self._saved, self._saved_at = needed, self._clock()
