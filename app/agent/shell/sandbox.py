"""Confining a command: it may write in the workspace and a temporary folder, sees no secrets, no network and no
processes but its own.

Linux has bubblewrap (if it is installed and the kernel lets it make namespaces), macOS sandbox-exec. Where
neither works, `find_sandbox` says so and the caller tells the user.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

from typing_extensions import override

from app.agent.permission.commands.leaving import is_there
from app.agent.shell.confined import TRIES
from app.agent.shell.hidden import (
    git_triggers,
    holders,
    listening_sockets,
    outermost,
    runtime_directories,
    secret_places,
)
from app.agent.shell.seatbelt import Seatbelt, seatbelt_works


class Sandbox(Protocol):
    """A way to confine commands."""

    def wrap(
        self,
        arguments: Sequence[str],
        root: Path,
        scratch: Path,
        git: Sequence[Path] = (),
        hidden: Sequence[Path] = (),
        *,
        local_servers: bool = False,
    ) -> list[str]:
        """The command line that runs `arguments`, free to write only below `root`, `scratch` and the git
        directories `git` of the repository, of these not where git finds what it is to run. What is `hidden`
        it can neither read nor write. With `local_servers` it may serve and reach this machine's own addresses,
        which it may anyway where it `has_own_loopback`.

        All exist; `scratch` is where temporary files go.
        """
        ...

    @property
    def lacks(self) -> str:
        """What it does not do here, in words; "" mostly."""
        ...

    @property
    def has_own_loopback(self) -> bool:
        """Whether 127.0.0.1 is another in it than outside."""
        ...

    def hide(self, arguments: Sequence[str], hidden: Sequence[Path]) -> list[str]:
        """The command line that runs `arguments` with all of the user's rights, except access to `hidden`."""
        ...


class Bubblewrap(Sandbox):
    """Linux. `has_processes`: the command gets a namespace of process numbers, so that it can neither signal
    the user's processes nor look into them. Its first process is bubblewrap's own, in the command's group, and
    collects those whose parents ended."""

    # A user who is root keeps what reaches files of others, and nothing that could undo the confinement. Where
    # something is hidden, files of others are not reached either: else a closed directory would stand open.
    _ROOT_KEEPS = ("CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_FOWNER", "CAP_FSETID")

    has_own_loopback = True

    def __init__(self, executable: str, *, has_processes: bool = True) -> None:
        self._executable = executable
        self._has_processes = has_processes

    @property
    @override
    def lacks(self) -> str:
        if self._has_processes:
            return ""
        return "the kernel allows no separate process numbers, so commands can signal your other processes"

    @override
    def wrap(
        self,
        arguments: Sequence[str],
        root: Path,
        scratch: Path,
        git: Sequence[Path] = (),
        hidden: Sequence[Path] = (),
        *,
        local_servers: bool = False,
    ) -> list[str]:
        command = [self._executable, "--ro-bind", "/", "/", "--dev", "/dev"]
        # Where it had no first process of its own it would be ended too soon: that one is to outlive the
        # monitor, which a signal to the group ends at once, and give the command its time to end in order.
        command += ["--unshare-pid", "--proc", "/proc"] if self._has_processes else ["--die-with-parent"]
        command += ["--unshare-net", "--unshare-ipc", "--bind", str(scratch), "/tmp"]
        if os.geteuid() == 0:
            command += ["--cap-drop", "ALL"]
            kept = [name for name in self._ROOT_KEEPS if not (hidden and name == "CAP_DAC_OVERRIDE")]
            command += [word for name in kept for word in ("--cap-add", name)]
        free = [root, *git]
        secrets = _real(secret_places())
        # What is secret around the workspace is hidden but for the workspace; what is secret in it, with it.
        around = [path for path in secrets if any(place.is_relative_to(path) for place in free)]
        replaced = [Path("/tmp"), *_real(runtime_directories())]
        command += _masks([*around, *replaced[1:]])
        triggers, closed = git_triggers(root, git), _real(hidden)
        # What is mounted cannot be renamed, and neither can what a mount is made on.
        for place in (*free, *holders((*triggers, *closed), free)):
            command += ["--bind", str(place), str(place)]
        sockets = [path for path in listening_sockets() if not path.is_relative_to(root)]
        command += _masks(
            path
            for path in (*secrets, *sockets)
            if path not in around and (_is_in(path, free) or not _is_in(path, replaced))
        )
        command += _closed(path for path in closed if _is_in(path, free) or not _is_in(path, replaced))
        for path in triggers:
            if path.exists():
                command += ["--ro-bind", str(path), str(path)]
            elif path.name == "hooks":
                command += ["--tmpfs", str(path), "--remount-ro", str(path)]
        return [*command, "--", *arguments]

    @override
    def hide(self, arguments: Sequence[str], hidden: Sequence[Path]) -> list[str]:
        command = [self._executable, "--dev-bind", "/", "/"]
        if os.geteuid() == 0:
            command += ["--cap-drop", "CAP_DAC_OVERRIDE", "--cap-drop", "CAP_DAC_READ_SEARCH"]
        return [*command, *_closed(_real(hidden)), "--", *arguments]


def _real(places: Iterable[Path]) -> list[Path]:
    """Where `places` lead, as far as something is there. Bubblewrap fails at a link that leads elsewhere."""
    found = (Path(os.path.realpath(place)) for place in places)
    return [place for place in found if is_there(place)]


def _is_in(path: Path, places: Iterable[Path]) -> bool:
    return any(path.is_relative_to(place) for place in places)


def _masks(places: Iterable[Path]) -> list[str]:
    """Options by which nothing can be read or written at `places`."""
    words: list[str] = []
    for place in outermost(places):
        if place.is_dir():
            words += ["--tmpfs", str(place)]
        else:
            # No device can be opened through such a bind: permission denied, rather than an empty file.
            words += ["--ro-bind", "/dev/null", str(place)]
    return words


def _closed(places: Iterable[Path]) -> list[str]:
    """The same for what lies in the workspace. A directory that may not be entered is not an empty one: of the
    files in it git believes that they are there, and does not commit that they are gone."""
    words = _masks(places)
    return [
        word for option in words for word in (("--perms", "0000", option) if option == "--tmpfs" else (option,))
    ]


@cache
def find_sandbox() -> Sandbox | None:
    """The sandbox that works here, tried once; None where there is none."""
    if sys.platform == "darwin":
        return Seatbelt() if seatbelt_works() else None
    executable = shutil.which("bwrap")
    if executable is None:
        return None
    # In some containers the kernel allows no namespace of process numbers, or no /proc in it.
    for sandbox in (Bubblewrap(executable), Bubblewrap(executable, has_processes=False)):
        # What is to be hidden may be gone before it is; see start_confined.
        if any(_works(sandbox) for _ in range(TRIES)):
            return sandbox
    return None


def _works(sandbox: Sandbox) -> bool:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(os.path.realpath(name))
        tried = subprocess.run(
            sandbox.wrap(["true"], directory, directory),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=20,
        )
    return tried.returncode == 0
