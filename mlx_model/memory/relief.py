"""Relieving memory pressure: which reserves the engine releases, in which order, and when it restores them."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mlx_model.memory.machine import Pressure, current_pressure

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
"""The least time between two looks at the pressure."""
_WARNING_SECONDS = 60.0
"""The least time between two releases while the pressure is only a warning: a Mac that holds a model of 45 GB
may be at "warning" for hours, and works all the same, so what fills again is not emptied each second."""
_CALM_SECONDS = 300.0
"""Time without pressure after which reserves are restored; doubled each time that was too soon."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Memory that can be released. `release` frees it, or a part, and returns the bytes, 0 when nothing is
    left. `at`: the least pressure at which it is released. `restore` takes a part of it again and returns the
    bytes, 0 when nothing is missing or there is no room; None for a reserve that fills by itself."""

    name: str
    release: Callable[[], int]
    at: Pressure = Pressure.WARNING
    restore: Callable[[], int] | None = None


class Relief:
    """Releases reserves under memory pressure, and restores them after a long time without. Used from the
    engine's thread; `report` from any."""

    def __init__(
        self,
        reserves: Sequence[Reserve],
        pressure: Callable[[], Pressure] = current_pressure,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reserves = tuple(reserves)
        self._pressure = pressure
        self._clock = clock
        self._looked = float("-inf")
        self._released_at = float("-inf")
        self._level = Pressure.NORMAL
        self._depth = 0
        self._given: dict[str, int] = {}
        self._short_at = float("-inf")
        self._patience = _CALM_SECONDS
        self._restored = False

    def look(self) -> None:
        """Reads the pressure, once in _LOOK_SECONDS at most. While there is any, the first look releases the
        first reserve, the second look the first two, and so on; a warning does so once in _WARNING_SECONDS at
        most."""
        now = self._clock()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        self._level = self._pressure()
        if self._level is Pressure.NORMAL:
            self._depth = 0
            return
        self._short_at = now
        if self._level is Pressure.WARNING and now - self._released_at < _WARNING_SECONDS:
            return
        self._released_at = now
        # A running reply refills the first reserves, so each look releases them again and one more.
        self._depth += 1
        for reserve in self._reserves[: self._depth]:
            if reserve.at <= self._level:
                self._release(reserve)

    def release_until(self, enough: Callable[[], bool]) -> None:
        """Releases one reserve after the other, each part by part, whatever the pressure, until `enough()` or
        nothing is left."""
        for reserve in self._reserves:
            while not enough() and self._release(reserve):
                continue

    def release_all(self) -> None:
        """Releases each reserve once, after an allocation has failed."""
        for reserve in self._reserves:
            self._release(reserve)

    def recover(self) -> None:
        """Restores a part of one reserve, after a long enough time without pressure. Called between
        requests."""
        if self._clock() - self._short_at < self._patience:
            return
        for reserve in self._reserves:
            if reserve.restore is None or not self._given.get(reserve.name):
                continue
            nbytes = reserve.restore()
            if nbytes:
                self._given[reserve.name] = max(0, self._given[reserve.name] - nbytes)
                _log.info("Memory is free again: took back %.1f MB of %s.", nbytes / 1e6, reserve.name)
                self._short_at, self._restored = self._clock(), True
                return

    def report(self) -> Mapping[str, object]:
        """The pressure at the last look, and by reserve the bytes released and not restored since the start."""
        # Of a copy: the engine's thread may be changing it.
        given = {name: nbytes for name, nbytes in dict(self._given).items() if nbytes}
        return {"pressure": self._level.name.lower(), "given_back": given}

    def _release(self, reserve: Reserve) -> int:
        nbytes = reserve.release()
        if nbytes:
            self._given[reserve.name] = self._given.get(reserve.name, 0) + nbytes
            if reserve.restore is not None:
                self._short_at = self._clock()
                self._patience *= 2 if self._restored else 1
                self._restored = False
            _log.warning("Memory is short: gave back %.1f MB of %s.", nbytes / 1e6, reserve.name)
        return nbytes
