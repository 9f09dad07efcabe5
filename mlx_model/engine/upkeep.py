"""Periodic work of an idle engine: it keeps the weights resident on the GPU for a while, relieves memory
pressure, and saves the expert frequencies."""

import logging
from collections.abc import Callable

import mlx.core as mx

from mlx_model.memory.relief import Relief

_log = logging.getLogger(__name__)

_ATTENDED_SECONDS = 180.0
"""How long after a request, or a key press in the workspace, the user is taken to be reading and typing."""
_LOOK_SECONDS = 5.0
"""The period of everything but the keep-alive."""

DEFAULT_KEEP_ALIVE = 1.0
"""Seconds. Others report that a Mac's GPU drops the weights' residency after 2 to 3 seconds without work."""


class Upkeep:
    """What the engine's thread does while it has no request. `keep_alive`: seconds between two tiny operations
    on the device; 0 for none."""

    def __init__(
        self,
        relief: Relief,
        keep_alive: float,
        touch: Callable[[], None] | None = None,
        *,
        record: Callable[[], None] = lambda: None,
    ) -> None:
        """`touch` is the operation; `record` saves what must survive a killed process, when that is due."""
        self._relief = relief
        self._keep_alive = keep_alive
        self._touch = touch or touch_device
        self._record = record

    def rest(self, idle_seconds: float) -> float:
        """Does what is due. Called on the engine's thread between requests, with the seconds since the last
        request or key press; returns the seconds until the next call."""
        self._record()
        try:
            self._relief.look()
            self._relief.recover()
            if self._keep_alive and idle_seconds < _ATTENDED_SECONDS:
                self._touch()
                return min(self._keep_alive, _LOOK_SECONDS)
        except (RuntimeError, MemoryError):
            # A device too short of memory for this may still serve the next request.
            _log.exception("Nothing could be given back or kept at hand.")
        return _LOOK_SECONDS


def touch_device() -> None:
    """Computes one element; on a GPU that keeps all wired memory resident."""
    mx.eval(mx.zeros(1) + 1)
