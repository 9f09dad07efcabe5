"""Places in files that a program's output names, as compilers, test runners and tracebacks write them."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LONGEST = 2_000  # characters of a line that are looked at

_PLAIN = re.compile(
    r"(?<![\w/.@~-])(?P<path>(?:file://)?(?:~/|/|\.{1,2}/)?[\w.@+~-]+(?:/[\w.@+~\[\]-]+)*):(?P<line>\d{1,7})(?::(?P<column>\d{1,5}))?"
)
_TRACEBACK = re.compile(r'File "(?P<path>[^"\n]{1,500})", line (?P<line>\d{1,7})')
_IN_PARENTHESES = re.compile(
    r"(?<![\w/.@~-])(?P<path>(?:~/|/|\.{1,2}/)?[\w.@+~-]+(?:/[\w.@+~\[\]-]+)*)\((?P<line>\d{1,7}),(?P<column>\d{1,5})\)"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A file and a line, counted from 1, named by the characters [start, end) of a text. `path` is as it is
    written there."""

    start: int
    end: int
    path: str
    line: int


def places_in(text: str) -> Iterator[Place]:
    """The places that one line of output names, from left to right, whether or not there is such a file."""
    text = text[:_LONGEST]
    found: dict[int, Place] = {}
    for pattern in (_TRACEBACK, _PLAIN, _IN_PARENTHESES):
        for match in pattern.finditer(text):
            path = match["path"].removeprefix("file://")
            is_name = any(character.isalpha() for character in path) and int(match["line"]) > 0
            is_free = all(match.end() <= one.start or one.end <= match.start() for one in found.values())
            if is_name and is_free:
                found[match.start()] = Place(match.start(), match.end(), path, int(match["line"]))
    yield from (found[start] for start in sorted(found))


def file_named(path: str, root: Path, directory: Path | None = None) -> str | None:
    """The file below `root` that output names as `path`, relative to `root`; None where there is none. A
    relative name is meant from `directory`, else from `root`. Blocks on the disk."""
    places = [directory, root] if directory is not None else [root]
    for place in places:
        try:
            absolute = Path(os.path.realpath(place / Path(path).expanduser()))
            if absolute.is_relative_to(root) and absolute.is_file():
                return absolute.relative_to(root).as_posix()
        except (OSError, ValueError, RuntimeError):
            continue
    return None
