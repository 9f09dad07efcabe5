"""Pictures of a workspace as it begins, kept so that its next start can show one at once.

A picture is what the application sent to the terminal, so it belongs to a directory, a size and a terminal. It
holds nothing that was not on the screen, and its file is for the user alone.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from app import durable
from app.paths import cache_directory

_MAGIC = "tidegate picture 1"
_TERMINAL = ("TERM", "COLORTERM", "TERM_PROGRAM", "NO_COLOR")
"""The variables by which the application decides on colours."""
_MOST_KEPT = 64
"""Pictures, of some tens of kilobytes each; the oldest go."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where the message is written: column and row from 0, cells that it is wide; and the sequences that give
    its text and its cursor their colours."""

    x: int
    y: int
    width: int
    text: str
    cursor: str


@dataclass(frozen=True, slots=True)
class Picture:
    """`drawing` draws the whole screen. `field` is None where keys do not go to the message."""

    drawing: str
    field: Field | None


def read_picture(root: Path, size: tuple[int, int]) -> Picture | None:
    """The picture of the workspace on `root`, `size` columns and rows; None without one that is whole."""
    try:
        written = _path(root, size).read_bytes().decode()
        head, place, text, cursor, drawing = written.split("\n", 4)
        numbers = [int(word) for word in place.split()]
    except (OSError, ValueError):
        return None
    if head != f"{_MAGIC} {len(drawing)}":
        return None
    if len(numbers) != 3:
        return Picture(drawing, None)
    x, y, width = numbers
    return Picture(drawing, Field(x, y, width, text, cursor))


def write_picture(root: Path, size: tuple[int, int], picture: Picture) -> None:
    """Keep `picture`, in place of the one before. Raises OSError."""
    field = picture.field
    place = f"{field.x} {field.y} {field.width}\n{field.text}\n{field.cursor}" if field is not None else "\n\n"
    path = _path(root, size)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    whole = f"{_MAGIC} {len(picture.drawing)}\n{place}\n{picture.drawing}"
    durable.replace_file(path, (whole.encode(),), durable.PRIVATE)
    kept = sorted(path.parent.glob("*.picture"), key=_written)
    for old in kept[:-_MOST_KEPT]:
        old.unlink(missing_ok=True)


def remove_pictures(root: Path) -> None:
    """Remove the pictures of the workspace on `root`, which no longer show how it begins."""
    with suppress(OSError):
        for path in _directory().glob(f"{_name(root)}-*"):
            path.unlink()


def _written(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _directory() -> Path:
    return cache_directory() / "first-frames"


def _path(root: Path, size: tuple[int, int]) -> Path:
    terminal = _name(*(os.environ.get(name, "") for name in _TERMINAL))
    return _directory() / f"{_name(root)}-{size[0]}x{size[1]}-{terminal}.picture"


def _name(*words: object) -> str:
    return sha256(os.fsencode("\0".join(map(str, words)))).hexdigest()[:16]
