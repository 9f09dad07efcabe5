"""This machine's memory, its limits, and its memory pressure.

On macOS the GPU may use a share of the unified memory that Metal names; on Linux the physical memory counts, or
the control group's limit where that is lower. All sizes are bytes.
"""

import ctypes
import os
import resource
import sys
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Literal

from mlx_model.errors import EngineError

GIB = 1 << 30
"""Bytes."""

_SMALL_MAC = 32 * GIB
"""Metal's recommended working set, as others report it: two thirds of up to 32 GiB, three quarters of more
(21.33 GiB of 32, 48 of 64). Newer systems recommend more on the largest machines; `this_machine` asks Metal
itself."""

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_NO_LIMIT = 1 << 60
"""Bytes. cgroup v1 writes a limit above this where there is none."""
_NEARLY_FULL = {0.90: "WARNING", 0.96: "CRITICAL"}
"""Memory pressure by the share of a control group's limit that is used by memory that the kernel cannot
drop."""


class Pressure(IntEnum):
    """The system's memory pressure."""

    NORMAL = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True)
class Machine:
    """`memory`: bytes of physical memory; `usable`: the most that one process may fill."""

    memory: int
    usable: int
    kind: Literal["mac", "linux"]
    pressure: Pressure = Pressure.NORMAL


class UnknownMemory(EngineError):
    """The system does not say how much memory there is."""


def mac(memory: int) -> Machine:
    """A Mac with `memory` bytes, of which Metal's default share is usable."""
    usable = memory * 2 // 3 if memory <= _SMALL_MAC else memory * 3 // 4
    return Machine(memory, usable, "mac")


def this_machine() -> Machine:
    """The machine this runs on. Raises UnknownMemory."""
    memory = _physical_memory()
    if sys.platform == "darwin":
        return Machine(memory, _working_set(memory), "mac", current_pressure())
    group = MemoryGroup.own()
    limit = group.limit if group is not None else None
    return Machine(memory, min(memory, limit or memory), "linux", current_pressure())


def current_pressure() -> Pressure:
    """On macOS the kernel's pressure level of the whole system; on Linux by how full our control group is,
    normal where it has no limit."""
    if sys.platform == "darwin":
        return mac_pressure(_sysctl("kern.memorystatus_vm_pressure_level"))
    group = MemoryGroup.own()
    return Pressure.NORMAL if group is None else group.pressure()


def mac_pressure(level: int | None) -> Pressure:
    """From the kernel's level (kern.memorystatus_vm_pressure_level): 1 normal, 2 warning, 4 critical."""
    return {2: Pressure.WARNING, 4: Pressure.CRITICAL}.get(level or 1, Pressure.NORMAL)


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A memory control group, version 1 or 2, by its directory."""

    directory: Path
    version: Literal[1, 2]

    @classmethod
    def own(cls, root: Path = _CGROUP_ROOT, own: Path = _OWN_CGROUPS) -> "MemoryGroup | None":
        """The nearest group of this process that has a limit; None where none has."""
        try:
            lines = own.read_text(encoding="utf-8").splitlines()
        except OSError:
            return None
        for line in lines:
            hierarchy, controllers, path = line.split(":", 2)
            if hierarchy == "0" and not controllers:
                version, base = 2, root
            elif "memory" in controllers.split(","):
                version, base = 1, root / "memory"
            else:
                continue
            group_directory = base / path.lstrip("/")
            # In a container the path is the host's and does not exist: then the mounted root is our group.
            for directory in (
                (group_directory, *group_directory.parents) if group_directory.is_dir() else (base,)
            ):
                group = cls(directory, 2 if version == 2 else 1)
                if group.limit is not None:
                    return group
                if directory == base:
                    break
        return None

    @property
    def limit(self) -> int | None:
        """Bytes that the group may use; None: no limit."""
        limit = _number(self.directory / ("memory.max" if self.version == 2 else "memory.limit_in_bytes"))
        return limit if limit is not None and limit < _NO_LIMIT else None

    @property
    def used(self) -> int | None:
        """Bytes in use, without the inactive file cache, which the kernel drops when needed; None where
        unknown."""
        name = "memory.current" if self.version == 2 else "memory.usage_in_bytes"
        used = _number(self.directory / name)
        if used is None:
            return None
        field = "inactive_file" if self.version == 2 else "total_inactive_file"
        return used - self._statistic(field)

    def pressure(self) -> Pressure:
        """By the share of the limit in use (_NEARLY_FULL)."""
        limit, used = self.limit, self.used
        if not limit or used is None:
            return Pressure.NORMAL
        return max(
            (Pressure[name] for share, name in _NEARLY_FULL.items() if used >= share * limit),
            default=Pressure.NORMAL,
        )

    def _statistic(self, field: str) -> int:
        try:
            text = (self.directory / "memory.stat").read_text(encoding="utf-8")
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{field} ")), 0)


def available_bytes() -> int:
    """Bytes that this process can still allocate without swapping: on Linux within the machine's free memory,
    its control group's limit and its own; on macOS within the GPU's working set. Raises UnknownMemory."""
    if sys.platform == "darwin":
        import mlx.core as mx  # noqa: PLC0415 (only a Mac needs it here)

        return this_machine().usable - mx.get_active_memory() - mx.get_cache_memory()
    left = [_memory_information("/proc/meminfo", "MemAvailable")]
    group = MemoryGroup.own()
    if group is not None and group.limit is not None and group.used is not None:
        left.append(group.limit - group.used)
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        left.append(limit - _memory_information("/proc/self/status", "VmSize"))
    return max(0, min(left))


def _memory_information(file: str, field: str) -> int:
    """Bytes in a line `Field:  12 kB` of a file under /proc."""
    for line in Path(file).read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise UnknownMemory(f"{file} does not say what {field} is.")


def resident_bytes() -> int:
    """Bytes of physical memory that this process uses. Raises UnknownMemory."""
    if sys.platform == "darwin":
        # The only other way is Mach's task_info, which needs the layout of its structure.
        import subprocess  # noqa: PLC0415 (only macOS needs it)

        said = subprocess.run(
            ["/bin/ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, text=True, check=False
        )
        if not said.stdout.strip().isdigit():
            raise UnknownMemory("ps does not say what memory this process has.")
        return int(said.stdout) * 1024
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() else None


def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        raise UnknownMemory("This system does not say how much memory it has.") from None


def _working_set(memory: int) -> int:
    import mlx.core as mx  # noqa: PLC0415 (only a Mac needs it here)

    recommended = mx.device_info().get("max_recommended_working_set_size") if mx.metal.is_available() else None
    return int(recommended) if recommended else mac(memory).usable


def chip() -> str:
    """The chip's name on macOS ("Apple M4 Max"); "" elsewhere, and where it is not said."""
    if sys.platform == "darwin":
        value, size = ctypes.create_string_buffer(256), ctypes.c_size_t(256)
        library = ctypes.CDLL(None)
        if not library.sysctlbyname(b"machdep.cpu.brand_string", value, ctypes.byref(size), None, 0):
            return value.value.decode(errors="replace")
    return ""


def _sysctl(name: str) -> int | None:
    """An integer sysctl of macOS; None where there is none of this name."""
    value, size = ctypes.c_int(), ctypes.c_size_t(ctypes.sizeof(ctypes.c_int))
    library = ctypes.CDLL(None)
    failed = library.sysctlbyname(name.encode(), ctypes.byref(value), ctypes.byref(size), None, 0)
    return None if failed else value.value
