"""What the machine says of its power and its user. The readings are parsed by pure functions.

On macOS by pmset(1) and ioreg(8), as their manual pages and published transcripts have them; neither was run on
a Mac here. On Linux by /sys/class/power_supply.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

_LINUX_POWER = Path("/sys/class/power_supply")
_SECONDS = 5.0
"""How long a reading may take."""


def on_power() -> bool | None:
    """Whether the machine draws from a socket; None where that cannot be told."""
    if sys.platform == "darwin":
        return power_of_pmset(_said(["/usr/bin/pmset", "-g", "batt"]))
    return power_of_linux(_LINUX_POWER)


def idle_seconds(used: Iterable[Path], now: float | None = None) -> float | None:
    """Seconds since anybody used the machine: its keyboard or mouse on macOS, and on any system Tidegate, whose
    folders of sessions and reviews are `used`. None where nothing can be told."""
    now = time.time() if now is None else now
    found = [now - newest for folder in used if (newest := _newest(folder)) is not None]
    if sys.platform == "darwin":
        by_hand = idle_of_ioreg(_said(["/usr/sbin/ioreg", "-c", "IOHIDSystem", "-d", "4"]))
        if by_hand is None:
            return None
        found.append(by_hand)
    return min(found, default=None)


def power_of_pmset(text: str) -> bool | None:
    """What `pmset -g batt` says: "Now drawing from 'AC Power'" or 'Battery Power'."""
    found = re.search(r"drawing from '([^']+)'", text)
    return None if found is None else found[1] == "AC Power"


def idle_of_ioreg(text: str) -> float | None:
    """Seconds from HIDIdleTime, which is in nanoseconds."""
    found = re.search(r'"HIDIdleTime"\s*=\s*(\d+)', text)
    return None if found is None else int(found[1]) / 1e9


def power_of_linux(folder: Path) -> bool | None:
    """From the power supplies: a machine without a battery draws from a socket; else its adapters say. None
    where there are batteries and nothing that says."""
    if not folder.is_dir():
        return None
    batteries: list[str] = []
    online: list[bool] = []
    for supply in sorted(folder.iterdir()):
        kind = _line(supply / "type")
        if kind == "Battery" and _line(supply / "scope") != "Device":  # a mouse's is no matter
            batteries.append(_line(supply / "status"))
        elif kind in ("Mains", "USB") and _line(supply / "online"):
            online.append(_line(supply / "online") != "0")
    if not batteries:
        return True
    if online:
        return any(online)
    told = [status for status in batteries if status in ("Charging", "Full", "Discharging")]
    return all(status != "Discharging" for status in told) if told else None


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _newest(folder: Path) -> float | None:
    """The time of the file in `folder` that was written last."""
    return max((path.stat().st_mtime for path in folder.rglob("*.jsonl")), default=None)


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
