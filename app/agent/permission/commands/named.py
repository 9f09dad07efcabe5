"""Where the words of a command lead, if they are paths."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from app.agent.permission.commands.leaving import literal_head
from app.agent.permission.commands.simple_commands import SimpleCommand, simple_commands_of
from app.agent.permission.commands.wrapped import unwrap
from app.workspace.workspace import Location, location_in

_LONGEST_PATH = 4096
"""Bytes of a path: PATH_MAX of Linux. A longer word names no file."""
_MOST_MATCHES = 500  # of one pattern


def named_locations(parts: Sequence[SimpleCommand], directory: Path, root: Path) -> Iterator[Location]:
    """Where the words of a command that is run in `directory` lead, if they are paths."""
    places = [directory]
    for part in parts:
        words = [
            word.value or literal_head(word.spelled) for word in (*part.spoken[1:], *part.reads, *part.writes)
        ]
        # --file=PATH, and REVISION:PATH as git has it
        for path in (path for word in words for path in (word, word.partition("=")[2], word.partition(":")[2])):
            if path and not path.startswith("-") and len(path) < _LONGEST_PATH:
                with suppress(OSError, RuntimeError, ValueError):
                    written = Path(path).expanduser()
                    found = [Path(os.path.realpath(place / written)) for place in places]
                    # It may have changed the directory by then, or not.
                    places += found[:1] if part.name in ("cd", "pushd") else []
                    for place, absolute in zip(places, found, strict=False):
                        yield location_in(root, absolute, place / written)


def named_files(command: str, directory: Path, root: Path) -> tuple[str, ...]:
    """The files and directories below `root` that `command`, run in `directory`, names by path or pattern, as
    far as they are there; relative to `root`. Blocks on the disk."""
    parts = [form for part in simple_commands_of(command)[0] for form in (part, unwrap(part))]
    found = {at.path for at in named_locations(parts, directory, root) if at.is_inside and at.path}
    patterns = {
        word.spelled
        for part in parts
        for word in (*part.spoken[1:], *part.writes)
        if any(sign in word.spelled for sign in "*?[")
    }
    for pattern in patterns:
        with suppress(OSError, ValueError, NotImplementedError):
            anchor, relative = (Path("/"), pattern[1:]) if pattern.startswith("/") else (directory, pattern)
            for match in islice(anchor.glob(relative), _MOST_MATCHES):
                at = location_in(root, Path(os.path.realpath(match)), match)
                found |= {at.path} if at.is_inside and at.path else set()
    return tuple(sorted(path for path in found if os.path.lexists(root / path)))
