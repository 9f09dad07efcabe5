"""What the engine does between requests and while nobody asks: it keeps the weights at hand for a while, looks
out for pressure, and writes down what is worth knowing after a restart."""

import logging
from collections.abc import Callable

import mlx.core as mx

from mlx_model.memory.relief import Relief

_log = logging.getLogger(__name__)

# After a reply, or a key that was pressed, somebody reads, thinks and types; after so long, nobody is there.
_ATTENDED_SECONDS = 180.0
_LOOK_SECONDS = 5.0

DEFAULT_KEEP_ALIVE = 1.0
"""Seconds. A GPU lets go of weights after two to three seconds without work."""


class Upkeep:
    """`keep_alive` is the period of tiny operations in seconds; 0 does none."""

    def __init__(
        self,
        relief: Relief,
        keep_alive: float,
        touch: Callable[[], None] | None = None,
        *,
        record: Callable[[], None] = lambda: None,
    ) -> None:
        """`record` writes down, when it is time to, what a process that is killed must not forget."""
        self._relief = relief
        self._keep_alive = keep_alive
        self._touch = touch or touch_device
        self._record = record

    def rest(self, idle_seconds: float) -> float:
        """Called on the engine's thread between requests and when nobody has asked for so long; returns when to
        call again, in seconds."""
        self._record()
        try:
            self._relief.look()
            self._relief.recover()
            if self._keep_alive and idle_seconds < _ATTENDED_SECONDS:
                self._touch()
                return min(self._keep_alive, _LOOK_SECONDS)
        except (RuntimeError, MemoryError):
            # A device that is too short of memory even for this may serve the next request all the same.
            _log.exception("Nothing could be given back or kept at hand.")
        return _LOOK_SECONDS


def touch_device() -> None:
    """The smallest thing a device can compute; on a GPU, all wired memory stays resident with it."""
    mx.eval(mx.zeros(1) + 1)
