"""When memory runs short: what the engine gives back, in order, when it takes it again, and what it says of
that."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mlx_model.memory.machine import Pressure, current_pressure

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
# A Mac that holds a model of 45 GB may be at "warning" for hours, and works all the same: then little is given
# back at a time, and what fills again is not emptied each second.
_WARNING_SECONDS = 60.0
# Without pressure for so long, what was given back is wanted again; longer each time that proves too soon.
_CALM_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Reserve:
    """Something that can be given back. `release` gives (more of) it back and returns the bytes, 0 when nothing
    is left; `at` is the pressure from which on it is worth doing without. `restore` takes part of it again and
    returns the bytes, 0 when nothing is missing or there is no room; None where it fills by itself."""

    name: str
    release: Callable[[], int]
    at: Pressure = Pressure.WARNING
    restore: Callable[[], int] | None = None


class Relief:
    """Gives back reserves while the system is short of memory, and takes them back when it has not been for
    long. Used from the engine's thread; `report` from any."""

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
        """Looks at the pressure, once a second at most. While there is any, the first look gives back the first
        reserve, the next one that and the second, and so on; a warning does so once a minute at most."""
        now = self._clock()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        self._level = self._pressure()
        # A reply that runs fills the first reserve again and again: each look goes one further.
        if self._level is Pressure.NORMAL:
            self._depth = 0
            return
        self._short_at = now
        if self._level is Pressure.WARNING and now - self._released_at < _WARNING_SECONDS:
            return
        self._released_at = now
        self._depth += 1
        for reserve in self._reserves[: self._depth]:
            if reserve.at <= self._level:
                self._release(reserve)

    def release_until(self, enough: Callable[[], bool]) -> None:
        """Gives back one reserve after the other, whatever the pressure, until there is enough or nothing is
        left; a reserve that can be given back in parts as often as it takes."""
        for reserve in self._reserves:
            while not enough() and self._release(reserve):
                pass

    def release_all(self) -> None:
        """An allocation has failed: gives each reserve back, once."""
        for reserve in self._reserves:
            self._release(reserve)

    def recover(self) -> None:
        """Takes part of what was given back again when memory has not been short for long. For when nobody
        waits for an answer."""
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
        """The pressure when it was last looked at, and the bytes given back since the start and not taken back,
        by reserve."""
        # Of a copy: the engine's thread may be giving something back just now.
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
