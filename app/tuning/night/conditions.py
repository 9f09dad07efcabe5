"""Whether a training may run now: the decision alone. Pure."""

import re
from dataclasses import dataclass
from datetime import time

_HOURS = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")


@dataclass(frozen=True, slots=True)
class Hours:
    """From when to when on any day; over midnight where `end` comes before `start`."""

    start: time
    end: time

    @classmethod
    def parse(cls, text: str) -> "Hours":
        """From "22:00-06:00". Raises ValueError."""
        found = _HOURS.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is no span of hours")
        numbers = [int(number) for number in found.groups()]
        return cls(time(numbers[0], numbers[1]), time(numbers[2], numbers[3]))

    def holds(self, now: time) -> bool:
        """Whether `now` lies within; the same start and end is the whole day."""
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end

    def __str__(self) -> str:
        return f"{self.start:%H:%M} to {self.end:%H:%M}"


@dataclass(frozen=True, slots=True)
class Facts:
    """The machine as it is. `on_power`: it draws from a socket, None where that cannot be told; `idle_seconds`
    since anybody used it, None where that cannot be told; `fresh`: examples since the last training."""

    now: time
    on_power: bool | None
    idle_seconds: float | None
    fresh: int = 0
    is_engine_loaded: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """When a training may run."""

    hours: Hours
    idle_seconds: float = 20 * 60
    least_fresh: int = 20
    """Decisions since the last training: fewer hardly change what is learnt. Not measured."""


def reason_to_wait(facts: Facts, rules: Rules, *, has_begun: bool = False) -> str:
    """Why no training may run now, as a sentence; "" where it may. `has_begun`: one is under way or was
    interrupted, so it has its examples, and is what holds the memory."""
    if facts.on_power is None:
        return "It cannot be told whether this machine draws from a socket."
    if not facts.on_power:
        return "This machine runs on its battery."
    if not rules.hours.holds(facts.now):
        return f"It is {facts.now:%H:%M}, and the hours for training are {rules.hours}."
    if facts.idle_seconds is None:
        return "It cannot be told whether anybody is at this machine."
    if facts.idle_seconds < rules.idle_seconds:
        used, needed = int(facts.idle_seconds // 60), int(rules.idle_seconds // 60)
        return f"This machine was used {used} minutes ago; it must be idle for {needed}."
    if has_begun:
        return ""
    if facts.is_engine_loaded:
        return "The engine still holds its model in memory; it ends when it was idle for long enough."
    if facts.fresh < rules.least_fresh:
        return f"There are {facts.fresh} new decisions since the last training; it takes {rules.least_fresh}."
    return ""
