"""Confining a command: it may write in the workspace and a temporary folder, sees no secrets and no network.

Linux has bubblewrap (if it is installed and the kernel lets it make namespaces), macOS sandbox-exec. Where
neither works, `find_sandbox` says so and the caller tells the user.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

# What holds keys and passwords, relative to the home directory.
_SECRETS = (
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".config/gcloud",
    ".config/gh",
    ".kube",
    ".docker",
    ".netrc",
    ".git-credentials",
    ".npmrc",
    ".pypirc",
    ".password-store",
    "Library/Keychains",
    "Library/Cookies",
)
# Inside a git directory, what git runs on the user's behalf outside the sandbox.
_GIT_TRIGGERS = ("hooks", "config", "config.worktree", "commondir")


class Sandbox(Protocol):
    """A way to confine commands."""

    def wrap(self, arguments: Sequence[str], root: Path, scratch: Path, git: Sequence[Path] = ()) -> list[str]:
        """The command line that runs `arguments`, free to write only below `root`, `scratch` and the git
        directories `git` of the repository, of these not where git finds what it is to run.

        All exist; `scratch` is where temporary files go.
        """
        ...


def git_triggers(root: Path, git: Sequence[Path]) -> list[Path]:
    """What must not be written, there or not: it decides what git runs, or in which repository it is."""
    places = [place for place in dict.fromkeys((root / ".git", *git)) if place.is_dir()]
    places += [linked for place in places for linked in sorted(place.glob("worktrees/*"))]
    link = [root / ".git"] if (root / ".git").is_file() else []
    return link + list(dict.fromkeys(place / name for place in places for name in _GIT_TRIGGERS))


def secret_places() -> list[Path]:
    """What a confined command must not read, as far as it exists."""
    return [path for name in _SECRETS if (path := Path.home() / name).exists()]


class Bubblewrap:
    """Linux."""

    def __init__(self, executable: str) -> None:
        self._executable = executable

    def wrap(self, arguments: Sequence[str], root: Path, scratch: Path, git: Sequence[Path] = ()) -> list[str]:
        """See Sandbox."""
        command = [self._executable, "--ro-bind", "/", "/", "--dev", "/dev", "--bind", str(scratch), "/tmp"]
        # No namespace of process numbers: a background job is ended by its group, from the outside.
        command += ["--unshare-net", "--unshare-ipc", "--die-with-parent"]
        for place in secret_places():
            command += ["--tmpfs", str(place)] if place.is_dir() else ["--ro-bind", "/dev/null", str(place)]
        command += ["--bind", str(root), str(root)]
        for place in git:
            command += ["--bind", str(place), str(place)]
        for path in git_triggers(root, git):
            if path.exists():
                command += ["--ro-bind", str(path), str(path)]
            elif path.name == "hooks":
                command += ["--tmpfs", str(path), "--remount-ro", str(path)]
        return [*command, "--", *arguments]


class Seatbelt:
    """macOS."""

    def wrap(self, arguments: Sequence[str], root: Path, scratch: Path, git: Sequence[Path] = ()) -> list[str]:
        """See Sandbox."""
        return ["/usr/bin/sandbox-exec", "-p", seatbelt_profile(root, scratch, git), *arguments]


def _quoted(path: Path | str) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def seatbelt_profile(root: Path, scratch: Path, git: Sequence[Path] = ()) -> str:
    """The profile for sandbox-exec. Later rules win over earlier ones."""
    temporary = (scratch, Path(os.path.realpath(tempfile.gettempdir())), Path("/private/tmp"))
    rules = [
        "(version 1)",
        "(deny default)",
        "(allow process-fork)",
        "(allow process-exec)",
        "(allow process-info* (target same-sandbox))",
        "(allow signal (target same-sandbox))",
        "(allow sysctl-read)",
        "(allow mach-lookup"
        ' (global-name "com.apple.system.opendirectoryd.libinfo")'
        ' (global-name "com.apple.system.notification_center")'
        ' (global-name "com.apple.system.logger"))',
        "(allow ipc-posix-sem)",
        "(allow file-read*)",
        *(f"(deny file-read* (subpath {_quoted(Path.home() / name)}))" for name in _SECRETS),
        f"(allow file-read* file-write* (subpath {_quoted(root)}))",
        *(f"(allow file-write* (subpath {_quoted(place)}))" for place in (*temporary, *git)),
        '(allow file-write* (literal "/dev/null") (literal "/dev/zero") (literal "/dev/tty")'
        ' (literal "/dev/dtracehelper"))',
        *(f"(deny file-write* (subpath {_quoted(path)}))" for path in git_triggers(root, git)),
        "(deny network*)",
    ]
    return "\n".join(rules)


@cache
def find_sandbox() -> Sandbox | None:
    """The sandbox that works here, tried once; None where there is none."""
    if sys.platform == "darwin":
        return Seatbelt() if Path("/usr/bin/sandbox-exec").exists() else None
    executable = shutil.which("bwrap")
    if executable is None:
        return None
    sandbox = Bubblewrap(executable)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(os.path.realpath(name))
        tried = subprocess.run(
            sandbox.wrap(["true"], directory, directory),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=20,
        )
    return sandbox if tried.returncode == 0 else None
