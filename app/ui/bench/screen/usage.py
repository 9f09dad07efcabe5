"""What a program and the processes below it have used of CPU and memory, as the system says it."""

import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PS_TIME = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of CPU since they began, and bytes of memory that are resident now."""

    cpu: float
    resident: int


@dataclass(frozen=True, slots=True)
class Process:
    """A process, by its number the one that started it, and what it has used itself."""

    parent: int
    usage: Usage


def usage_of(process: int) -> Usage:
    """Of `process` and all that it started and that still runs. Raises ValueError where it does not run."""
    running = _all_on_linux() if Path("/proc/self/stat").exists() else _all_by_ps()
    if process not in running:
        raise ValueError(f"process {process} does not run")
    return total(process, running)


def total(process: int, running: Mapping[int, Process]) -> Usage:
    """What `process` and those below it used, of all that are `running`."""
    used = [running[process].usage]
    used += [total(number, running) for number, one in running.items() if one.parent == process]
    return Usage(sum(one.cpu for one in used), sum(one.resident for one in used))


def _all_on_linux() -> dict[int, Process]:
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            stat = file.read_text(encoding="utf-8", errors="replace")
            found[int(file.parent.name)] = read_stat(stat, os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE"))
    return found


def _all_by_ps() -> dict[int, Process]:
    asked = ["ps", "-axo", "pid=,ppid=,time=,rss="]
    return read_ps(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)


def read_stat(stat: str, ticks: int, page: int) -> Process:
    """From /proc/PID/stat (proc(5)), with so many ticks a second and bytes a page. Children that have ended
    count, as soon as they were waited for."""
    fields = stat.rpartition(")")[2].split()  # the name before may hold anything
    cpu = sum(map(int, fields[11:15])) / ticks
    return Process(int(fields[1]), Usage(cpu, int(fields[21]) * page))


def read_ps(listed: str) -> dict[int, Process]:
    """From `ps -o pid=,ppid=,time=,rss=`: time as days-hours:minutes:seconds, memory in kilobytes (ps(1))."""
    found = {}
    for line in listed.splitlines():
        number, parent, time, resident = line.split()
        parts = _PS_TIME.fullmatch(time)
        if parts is None:
            raise ValueError(f"ps says {line!r}")
        days, hours, minutes, seconds = (float(part or 0) for part in parts.groups())
        cpu = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        found[int(number)] = Process(int(parent), Usage(cpu, int(resident) * 1024))
    return found
