"""When memory runs short: what the engine gives back, in order, and what it says of that."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mlx_model.machine import Pressure, current_pressure

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Reserve:
    """Something that can be given back. `release` gives (more of) it back and returns the bytes, 0 when nothing
    is left; `at` is the pressure from which on it is worth doing without."""

    name: str
    release: Callable[[], int]
    at: Pressure = Pressure.WARNING


class Relief:
    """Gives back reserves while the system is short of memory. Used from the engine's thread; `report` from
    any."""

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
        self._level = Pressure.NORMAL
        self._depth = 0
        self._given: dict[str, int] = {}

    def look(self) -> None:
        """Looks at the pressure, once a second at most. While there is any, the first look gives back the first
        reserve, the next one that and the second, and so on."""
        now = self._clock()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        self._level = self._pressure()
        # A reply that runs fills the first reserve again and again: each look goes one further.
        self._depth = 0 if self._level is Pressure.NORMAL else self._depth + 1
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

    def report(self) -> Mapping[str, object]:
        """The pressure when it was last looked at, and the bytes given back since the start, by reserve."""
        return {"pressure": self._level.name.lower(), "given_back": dict(self._given)}

    def _release(self, reserve: Reserve) -> int:
        nbytes = reserve.release()
        if nbytes:
            self._given[reserve.name] = self._given.get(reserve.name, 0) + nbytes
            _log.warning("Memory is short: gave back %.1f MB of %s.", nbytes / 1e6, reserve.name)
        return nbytes
