"""What language servers say."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "information", "hint"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "information", "hint")
"""In the protocol's order, which counts them from 1."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What a server finds fault with, in the file `path` at `line`, counted from 1. `code` is the server's own
    name for it, "" where it has none."""

    path: str
    line: int
    severity: Severity
    message: str
    source: str = ""
    code: str = ""

    @property
    def kind(self) -> tuple[str, str, str]:
        """What stays the same when lines move."""
        return self.source, self.code, self.message


@dataclass(frozen=True, slots=True)
class Spot:
    """A place that a server names: a file, relative to the workspace or absolute outside of it, and a line
    counted from 1."""

    path: str
    line: int
    is_inside: bool = True


@dataclass(frozen=True, slots=True)
class ServerState:
    """Where a server stands. `words` say why it is not there."""

    name: str
    phase: Literal["starting", "ready", "failed"]
    words: str = ""
