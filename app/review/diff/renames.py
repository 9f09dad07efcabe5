"""Which of the files that came are files that went, under another name: by content, as git finds renames.

The measure is that of git's diffcore-rename: of the larger file's bytes, how many are in pieces (lines, or 64
bytes of a long one) that the other has too; half of them make a rename. Equal content goes first, and among
equals the same file name.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath

from app.review.model import FileImage

_PIECE = 64
"""Bytes of a piece: files are compared as multisets of lines cut to this length, as git does."""
_LEAST = 0.5
"""Share of two files that must be equal for a rename: git's default."""
# Comparing everything with everything is quadratic; beyond this only files of the same name are compared.
_MOST_PAIRS = 2_500


def find_renames(gone: Mapping[str, FileImage], made: Mapping[str, FileImage]) -> list[tuple[str, str]]:
    """Pairs of old and new path; each path is in one at most. Empty files are never paired."""
    by_content: dict[tuple[bytes, bool], list[str]] = {}
    for old, image in gone.items():
        if image.data:
            by_content.setdefault((image.data, _is_link(image)), []).append(old)
    found: list[tuple[str, str]] = []
    for new, image in made.items():
        same = by_content.get((image.data, _is_link(image)))
        if same:
            old = max(same, key=lambda path: _has_name_of(path, new))
            same.remove(old)
            found.append((old, new))
    taken = {path for pair in found for path in pair}
    left = [path for path, image in gone.items() if path not in taken and image.data and not _is_link(image)]
    came = [path for path, image in made.items() if path not in taken and image.data and not _is_link(image)]
    is_much = len(left) * len(came) > _MOST_PAIRS
    pieces = {path: _pieces((gone.get(path) or made[path]).data) for path in (*left, *came)}
    scores = [
        (score, _has_name_of(old, new), old, new)
        for old in left
        for new in came
        if not is_much or _has_name_of(old, new)
        if (score := _similarity(pieces[old], pieces[new])) >= _LEAST
    ]
    for _, _, old, new in sorted(scores, key=lambda item: (-item[0], not item[1], item[2], item[3])):
        if old not in taken and new not in taken:
            taken |= {old, new}
            found.append((old, new))
    return found


def _is_link(image: FileImage) -> bool:
    return image.mode == 0o120000


def _has_name_of(path: str, other: str) -> bool:
    return PurePosixPath(path).name == PurePosixPath(other).name


def _pieces(data: bytes) -> Counter[bytes]:
    counted: Counter[bytes] = Counter()
    for line in data.splitlines(keepends=True):
        for start in range(0, len(line), _PIECE):
            counted[line[start : start + _PIECE]] += 1
    return counted


def _similarity(old: Counter[bytes], new: Counter[bytes]) -> float:
    sizes = [sum(len(piece) * count for piece, count in side.items()) for side in (old, new)]
    if min(sizes) < max(sizes) * _LEAST:
        return 0.0
    return sum(len(piece) * min(count, new[piece]) for piece, count in old.items()) / max(sizes)
