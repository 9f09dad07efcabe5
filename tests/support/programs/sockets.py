"""Which sockets a program and all that it starts ask the kernel for.

strace tells, where it may trace. Elsewhere on Linux a seccomp filter ends whoever asks for any but Unix sockets
(or netlink, by which bubblewrap talks to the kernel): then nothing is told, but the journey breaks off.
"""

import ctypes
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_PID = re.compile(r"^(\d+) +")
_SOCKET = re.compile(r"^\d+ +socket\((\w+)")
_PROGRAM = re.compile(r'^\d+ +execve\("([^"]*)"')
_CHILD = re.compile(r"(?:clone|clone3|fork|vfork)\b.*= (\d+)$")

# From linux/seccomp.h, linux/filter.h and linux/audit.h; the number of the system call socket by machine.
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_KILL, _ALLOW = 0x80000000, 0x7FFF0000
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER_MODE = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_UNIX, _NETLINK = 1, 16


class Strace:
    """By strace; `found` tells after the end."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "sockets.log"

    def command(self, arguments: Sequence[str | Path]) -> list[str | Path]:
        """The command line that runs `arguments` watched."""
        return [
            "strace",
            "-f",
            "-qq",
            "--seccomp-bpf",
            "-e",
            "trace=socket,%process",
            "-o",
            self._log,
            *arguments,
        ]

    def found(self) -> set[tuple[str, str]]:
        """The socket families asked for, each with the name of the program that asked."""
        programs: dict[str, str] = {}
        sockets = set()
        for line in self._log.read_text(errors="replace").splitlines():
            pid = _PID.match(line)
            if pid is None:
                continue
            if program := _PROGRAM.match(line):
                programs[pid[1]] = Path(program[1]).name
            if child := _CHILD.search(line):
                programs.setdefault(child[1], programs.get(pid[1], "?"))
            if socket := _SOCKET.match(line):
                sockets.add((socket[1], programs.get(pid[1], "?")))
        return sockets


class Seccomp:
    """By a filter, under which any other socket is the end of who asks for it."""

    def command(self, arguments: Sequence[str | Path]) -> list[str | Path]:
        """See Strace."""
        return [sys.executable, Path(__file__), *arguments]

    def found(self) -> set[tuple[str, str]]:
        """See Strace; whoever lived to the end asked for these at most."""
        return {("AF_UNIX", "?")}


def socket_watch(directory: Path) -> Strace | Seccomp | None:
    """What works here; None where nothing does. The log is written in `directory`."""
    if shutil.which("strace"):
        strace = Strace(directory)
        if subprocess.run(strace.command(["true"]), capture_output=True, check=False).returncode == 0:
            return strace
    if sys.platform == "linux" and platform.machine() in _MACHINES:
        seccomp = Seccomp()
        if subprocess.run(seccomp.command(["true"]), capture_output=True, check=False).returncode == 0:
            return seccomp
    return None


def _confine() -> None:
    """Install the filter for this process and all that come of it."""
    machine, number = _MACHINES[platform.machine()]
    steps = [
        (_LOAD, 0, 0, _MACHINE),
        (_JUMP_IF_EQUAL, 0, 5, machine),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_IF_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_JUMP_IF_EQUAL, 2, 0, _UNIX),
        (_JUMP_IF_EQUAL, 1, 0, _NETLINK),
        (_RETURN, 0, 0, _KILL),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HL", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(_SET_SECCOMP, _FILTER_MODE, program, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel takes no filter")


if __name__ == "__main__":
    _confine()
    os.execvp(sys.argv[1], sys.argv[1:])
