"""Confinement on macOS: a profile for sandbox-exec, in the language of Apple's sandbox.

What is allowed beside files was chosen by reading the profiles of Codex and of Anthropic's sandbox-runtime and
by what programs that developers run are known to need. It has not been run on a Mac yet.

Weighed and left out: running `ps`, which is set-user-ID and would have to leave the sandbox, where it shows the
environment of the user's other processes; power management, with which a command could keep the machine awake;
the keychain's server; distributed notifications; the GPU.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from app.agent.shell.hidden import git_triggers, holders, linked_repository, secret_places

_EXECUTABLE = "/usr/bin/sandbox-exec"
_FIXED_RULES = (
    "(version 1)",
    "(deny default)",
    "(allow process-fork)",
    "(allow process-exec)",
    "(allow process-info* (target same-sandbox))",
    "(allow signal (target same-sandbox))",
    "(allow sysctl-read)",
    # The environment of other processes, which may hold what is kept from the command's own.
    '(deny sysctl-read (sysctl-name-prefix "kern.procargs"))',
    # Java asks for the kind of core by a call that counts as a write.
    '(allow sysctl-write (sysctl-name "kern.grade_cputype"))',
    # Node's os.cpus().
    "(allow mach-host*)",
    "(allow mach-lookup"
    # Who the user is, and in which groups (id, git, ssh-keygen).
    ' (global-name "com.apple.system.opendirectoryd.libinfo")'
    ' (global-name "com.apple.system.opendirectoryd.membership")'
    ' (global-name "com.apple.system.notification_center")'
    ' (global-name "com.apple.system.logger")'
    # The user's folders for temporary files and caches (confstr).
    ' (global-name "com.apple.bsd.dirhelper")'
    # The network's settings, without which uv panics. They lead nowhere.
    ' (global-name "com.apple.SystemConfiguration.configd")'
    # Preferences, read by everything built on Foundation.
    ' (global-name "com.apple.cfprefsd.daemon")'
    ' (global-name "com.apple.cfprefsd.agent"))',
    "(allow user-preference-read)",
    '(allow ipc-posix-shm-read* (ipc-posix-name-prefix "apple.cfprefs."))',
    # Python's multiprocessing; OpenMP's registration, without which PyTorch aborts.
    "(allow ipc-posix-sem)",
    '(allow ipc-posix-shm* (ipc-posix-name-prefix "/__KMP_REGISTERED_LIB_"))',
    # Memory that Python's multiprocessing and PyTorch's data loaders share between processes.
    '(allow ipc-posix-shm* (ipc-posix-name-prefix "/psm_") (ipc-posix-name-prefix "/torch_"))',
    "(allow file-read*)",
    # Terminals of its own (pexpect, script, node-pty), which macOS marks by an extension. Of another it could
    # read what the user types, and write there what that terminal obeys.
    "(allow pseudo-tty)",
    '(allow file-read* file-write* file-ioctl (literal "/dev/ptmx"))',
    '(deny file-read* (regex #"^/dev/ttys"))',
    "(allow file-read* file-write* file-ioctl"
    ' (require-all (regex #"^/dev/ttys[0-9]+$") (extension "com.apple.sandbox.pty")))',
    '(allow file-write* (literal "/dev/null") (literal "/dev/zero") (literal "/dev/tty")'
    ' (literal "/dev/stdout") (literal "/dev/stderr") (subpath "/dev/fd") (literal "/dev/dtracehelper"))',
    "(allow system-socket (socket-domain AF_UNIX))",
)
_LOCAL_SERVERS = (
    # Servers of tests often bind every address. Only this machine can connect to them.
    '(allow network-bind (local ip "*:*"))',
    '(allow network-inbound (local ip "localhost:*"))',
    '(allow network-outbound (remote ip "localhost:*"))',
)
_DARWIN_FOLDER = re.compile(r"(/private)?/var/folders/[^/]+/[^/]+(?=/T/?$)")


class Seatbelt:
    """macOS."""

    lacks = ""
    has_own_loopback = False

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
        profile = seatbelt_profile(root, scratch, git, hidden, local_servers=local_servers)
        return ["/usr/bin/env", f"TMPDIR={scratch}", _EXECUTABLE, "-p", profile, *arguments]

    def hide(self, arguments: Sequence[str], hidden: Sequence[Path]) -> list[str]:
        above = sorted({parent for place in hidden for parent in place.parents})
        profile = "\n".join(["(version 1)", "(allow default)", *_denied(hidden), *_fixed(above)])
        return [_EXECUTABLE, "-p", profile, *arguments]


def seatbelt_works() -> bool:
    """Whether a profile can be applied, tried once: inside another sandbox it cannot."""
    if not Path(_EXECUTABLE).exists():
        return False
    tried = subprocess.run(
        [_EXECUTABLE, "-p", "(version 1) (allow default)", "/usr/bin/true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=20,
    )
    return tried.returncode == 0


def _quoted(path: Path | str) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _denied(places: Iterable[Path]) -> list[str]:
    return [f"(deny file-read* file-write* (subpath {_quoted(place)}))" for place in places]


def _fixed(directories: Iterable[Path]) -> list[str]:
    """Rules by which directories keep their names: renaming one is unlinking its old name."""
    return [f"(deny file-write-unlink (literal {_quoted(place)}))" for place in directories]


def _in_any_case(path: Path) -> str:
    """A regular expression for `path` and what lies in it, whose last two names may have any capitals."""
    tail = f"/{path.parent.name}/{path.name}"
    any_case = "".join(re.escape(c) if c.lower() == c.upper() else f"[{c.lower()}{c.upper()}]" for c in tail)
    return '#"^' + re.escape(str(path.parent.parent)).replace('"', '\\"') + any_case + '(/|$)"'


def _caches() -> list[Path]:
    """The user's folder for caches beside that for temporary files, where Swift and clang keep modules."""
    found = _DARWIN_FOLDER.match(os.path.realpath(tempfile.gettempdir()))
    return [Path(found[0]) / "C"] if found else []


def seatbelt_profile(
    root: Path,
    scratch: Path,
    git: Sequence[Path] = (),
    hidden: Sequence[Path] = (),
    *,
    local_servers: bool = False,
) -> str:
    """The profile for sandbox-exec. Later rules win over earlier ones."""
    secrets = secret_places()
    around = [path for path in secrets if root.is_relative_to(path)]
    triggers = git_triggers(root, git)
    kept = [path for path in (*secrets, *hidden) if path not in around]
    link = linked_repository(root)
    rules = [
        *_FIXED_RULES,
        *_denied(around),
        f"(allow file-read* file-write* (subpath {_quoted(root)}))",
        *(f"(allow file-write* (subpath {_quoted(place)}))" for place in (scratch, *_caches(), *git)),
        *(f"(deny file-write* (subpath {_quoted(path)}))" for path in triggers),
        # A name that is not there yet may be made in other capitals on a disk that folds them.
        *(f"(deny file-write* (regex {_in_any_case(path)}))" for path in triggers),
        *_denied(kept),
        *_fixed([*holders((*triggers, *kept), (root, *git)), *([link[0]] if link else [])]),
        "(deny network*)",
        # A test's own server on a socket; what others listen on lies elsewhere.
        *(
            f"(allow {operation} ({end} unix-socket (subpath {_quoted(place)})))"
            for place in (root, scratch)
            for operation, end in (("network-bind", "local"), ("network-outbound", "remote"))
        ),
        *(_LOCAL_SERVERS if local_servers else ()),
    ]
    return "\n".join(rules)
