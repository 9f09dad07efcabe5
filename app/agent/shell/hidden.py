"""What a confined command is kept from, whatever it calls it: keys and passwords, other programs' sockets, and
what makes git run something outside."""

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from app.settings.settings import settings_file

# What holds keys and passwords, relative to the home directory.
_SECRETS = (
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".oci",
    ".boto",
    ".s3cfg",
    ".config/gcloud",
    ".config/gh",
    ".config/hub",
    ".config/glab-cli",
    ".config/doctl",
    ".config/rclone",
    ".config/containers/auth.json",
    ".kube",
    ".docker",
    ".netrc",
    ".git-credentials",
    ".config/git/credentials",
    ".npmrc",
    ".pypirc",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".terraform.d/credentials.tfrc.json",
    ".vault-token",
    ".pgpass",
    ".my.cnf",
    ".cache/huggingface/token",
    ".password-store",
    ".local/share/keyrings",
    ".mozilla",
    ".config/google-chrome",
    ".config/chromium",
    ".config/BraveSoftware",
    ".config/microsoft-edge",
    ".config/1Password",
    ".config/op",
    "Library/Keychains",
    "Library/Cookies",
    "Library/Application Support/Firefox",
    "Library/Application Support/Google/Chrome",
    "Library/Application Support/BraveSoftware",
    "Library/Application Support/Microsoft Edge",
    "Library/Application Support/Arc",
    "Library/Application Support/1Password",
    "Library/Group Containers/2BUA8C4S2C.com.1password",
    "Library/Safari",
    "Library/Containers/com.apple.Safari",
)
# Inside a git directory, what git runs on the user's behalf outside the sandbox.
_GIT_TRIGGERS = ("hooks", "config", "config.worktree", "commondir")
_LISTENING = 0x10000  # the flag of a socket that takes connections (SO_ACCEPTCON)


def secret_places() -> list[Path]:
    """What holds the user's keys and passwords, our settings among it (which may hold the key for a server), by
    name and, where that is a link, by where it leads."""
    named = [*(Path.home() / name for name in _SECRETS), settings_file()]
    return list(dict.fromkeys(path for place in named for path in (place, Path(os.path.realpath(place)))))


def git_triggers(root: Path, git: Sequence[Path]) -> list[Path]:
    """What must not be written, there or not: it decides what git runs, or in which repository it is."""
    own = root / ".git"
    # Where the directory is a link, as Android's repo makes it, what it leads to; see `linked_repository`.
    found = (Path(os.path.realpath(place)) for place in (own, *git) if place.is_dir())
    places = list(dict.fromkeys(found))
    places += [linked for place in places for linked in sorted(place.glob("worktrees/*"))]
    places += [module for place in places for module in _submodules(place / "modules")]
    link = [own] if own.is_file() and not own.is_symlink() else []
    return link + list(dict.fromkeys(place / name for place in places for name in _GIT_TRIGGERS))


def _submodules(directory: Path) -> Iterator[Path]:
    """The git directories of submodules in `directory`: as deep as their names have parts."""
    for place in sorted(directory.iterdir()) if directory.is_dir() else ():
        if (place / "HEAD").is_file():
            yield place
            yield from _submodules(place / "modules")
        else:
            yield from _submodules(place)


def holders(places: Iterable[Path], free: Sequence[Path]) -> list[Path]:
    """The directories between `free`, which may be written, and `places` in them, outermost first. Were one
    renamed, a copy could take its place, in which nothing is kept from anybody."""
    found = {
        parent
        for place in places
        for base in free
        if place.is_relative_to(base)
        for parent in place.parents
        if parent != base and parent.is_relative_to(base) and parent.is_dir()
    }
    return sorted(found, key=lambda path: (len(path.parts), path))


def linked_repository(root: Path) -> tuple[Path, str] | None:
    """The workspace's `.git` and where it leads, if it is a symbolic link. Nothing can be mounted on a link, so
    that bubblewrap cannot keep a command from putting a repository of its own there; see `remove_made`."""
    own = root / ".git"
    return (own, str(own.readlink())) if own.is_symlink() else None


def absent_triggers(root: Path, git: Sequence[Path]) -> list[Path]:
    """The files among `git_triggers` that are not there. A sandbox that hides existing files cannot keep a
    command from making them; see `remove_made`."""
    return [path for path in git_triggers(root, git) if path.name != "hooks" and not os.path.lexists(path)]


def remove_made(absent: Iterable[Path], link: tuple[Path, str] | None = None) -> list[str]:
    """Remove what of `absent` is there now, and what has taken the place of `link`; says what that was."""
    made = []
    if link is not None and not (link[0].is_symlink() and str(link[0].readlink()) == link[1]):
        own, target = link
        with suppress(OSError):
            if own.is_dir() and not own.is_symlink():
                shutil.rmtree(own)
            else:
                own.unlink(missing_ok=True)
            own.symlink_to(target)
            made.append(str(own))
    for path in absent:
        with suppress(OSError):
            path.unlink()
            made.append(str(path))
    return made


def runtime_directories() -> list[Path]:
    """Where the programs of the user's session have their sockets (the bus that starts services, agents that
    hold keys), as far as there are such directories."""
    named = (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.getuid()}")
    return [place for place in map(Path, named) if place.is_absolute() and _is_private(place)]


def _is_private(place: Path) -> bool:
    """Whether a directory is private to this user, as one for sockets has to be."""
    try:
        found = place.stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def listening_sockets() -> list[Path]:
    """Sockets in the file system at which other programs take orders (of containers, for one), and that this
    user may write to. No namespace of networks keeps a command from these. Empty but on Linux."""
    found: dict[Path, None] = {}
    with suppress(OSError):
        for line in Path("/proc/net/unix").read_text(errors="surrogateescape").splitlines()[1:]:
            # address: references protocol flags type state inode path
            fields = line.split(maxsplit=7)
            if len(fields) == 8 and fields[7].startswith("/") and int(fields[3], 16) & _LISTENING:
                path = Path(os.path.realpath(fields[7]))
                if os.access(path, os.W_OK):
                    found[path] = None
    return list(found)


def outermost(places: Iterable[Path]) -> list[Path]:
    """`places` without those that lie in another."""
    found: list[Path] = []
    for place in sorted(set(places), key=lambda path: len(path.parts)):
        if not any(place.is_relative_to(other) for other in found):
            found.append(place)
    return found
