"""File names as disks compare them: two spellings may be one file."""

import fcntl
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

# Of macOS's <fcntl.h>: to open a file only for what is told of it, and its path (MAXPATHLEN bytes).
_EVENTS_ONLY, _GET_PATH, _LONGEST_PATH = 0x8000, 50, 1024

# What HFS+ leaves out when it compares names, and git with it (utf8.c, next_hfs_char).
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_GIT = (".git", "git~1")  # the second is what Windows' short names make of the first


def folded(name: str) -> str:
    """`name` or path as a disk compares it that ignores capitals and Unicode's forms."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_git_name(name: str) -> bool:
    """Whether any disk takes this name for a git directory's."""
    return folded(_IGNORED.sub("", name)) in _GIT


def folds_case(directory: Path) -> bool:
    """Whether names in `directory` that differ in capitals are one file: tried with a name that is there.
    Without any it is the directory's own."""
    place = directory
    with suppress(OSError), os.scandir(directory) as found:
        place = next((Path(item) for item in found if item.name.swapcase() != item.name), directory)
    other = place.with_name(place.name.swapcase()) if place.name else place
    try:
        return other != place and os.path.samestat(place.lstat(), other.lstat())
    except OSError:
        return False


def spelled_on_disk(path: Path, names: Callable[[Path], Iterable[str]] = os.listdir) -> Path:
    """`path`, absolute and without links, with the capitals that the disk has it under, as far as it is there.

    macOS tells an open file's path; elsewhere a directory on a disk that folds case is asked for its names.
    """
    if sys.platform == "darwin":
        return _told_by_macos(path)
    spelled = Path(path.anchor)
    for part in path.parts[1:]:
        try:
            there = list(names(spelled))
        except OSError:
            there = []
        same = folded(part)
        alike = [part] if part in there else [name for name in there if folded(name) == same]
        spelled /= alike[0] if alike else part
    return spelled


def _told_by_macos(path: Path) -> Path:  # not seen on a Mac yet
    for place in (path, *path.parents):
        try:
            descriptor = os.open(place, _EVENTS_ONLY | os.O_NONBLOCK)
        except OSError:
            continue  # nothing there yet, or nobody may look: its directory is known all the same
        try:
            found = fcntl.fcntl(descriptor, _GET_PATH, bytes(_LONGEST_PATH)).split(b"\0")[0]
        except OSError:
            continue
        finally:
            os.close(descriptor)
        return Path(os.fsdecode(found)) / path.relative_to(place)
    return path
