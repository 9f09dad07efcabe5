"""Why a hunk of a patch does not fit a file: what it expects, beside what the file has at the nearest place."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from app.review.model import FileChange, FileImage, Hunk, printable

_TOO_COMMON = 50  # lines as frequent as that say nothing about the place
_MOST_LINES = 40
"""Lines shown of what stands in a hunk's place: a screen's height."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """`sentence` says it in short; `lines` are the file's with their numbers, and what was expected of them."""

    sentence: str
    lines: tuple[str, ...] = ()


def find_misfit(change: FileChange, hunk: Hunk, image: FileImage | None) -> Misfit | None:
    """Why `hunk` does not fit the file that is `image` now; None if its lines are there."""
    path = change.previous_path or change.path
    if image is None:
        is_new = change.before_mode is None and change.previous_path is None
        return None if is_new else Misfit(f"There is no {path} here")
    if change.kind == "created":
        return Misfit(f"{path} is there already")
    if not hunk.lines:
        return None
    lines = image.data.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n") if image.data else []
    before = [line.text for line in hunk.lines if line.kind != "added"]
    after = [line.text for line in hunk.lines if line.kind != "removed"]
    if _place_of(before, lines) is not None:
        return None
    applied = _place_of(after, lines)
    if applied is not None:
        return Misfit(f"This is in the file already, at line {applied + 1}")
    start = _nearest(before, lines, max(0, hunk.before_start - 1))
    shown, differing = _compared(before, lines, start)
    what = f"{differing} line{'' if differing == 1 else 's'} of {len(before)}"
    return Misfit(f"{what} differ from the file's, nearest at line {start + 1}", shown)


def _place_of(wanted: Sequence[str], lines: Sequence[str]) -> int | None:
    """Where `lines` hold `wanted` in one piece."""
    if not wanted:
        return 0
    at = -1
    while True:
        try:
            at = lines.index(wanted[0], at + 1)
        except ValueError:
            return None
        if lines[at : at + len(wanted)] == wanted:
            return at


def _nearest(wanted: Sequence[str], lines: Sequence[str], near: int) -> int:
    """Where `lines` have most in common with `wanted`, the place nearest to `near` among equals."""
    places: dict[str, list[int]] = {line: [] for line in wanted}
    for number, line in enumerate(lines):
        if line in places:
            places[line].append(number)
    votes: Counter[int] = Counter()
    for number, line in enumerate(wanted):
        found = places[line]
        if len(found) <= _TOO_COMMON:
            votes.update(max(0, place - number) for place in found)
    if not votes:
        return max(0, min(near, len(lines) - len(wanted)))
    return min(votes, key=lambda start: (-votes[start], abs(start - near)))


def _compared(wanted: Sequence[str], lines: Sequence[str], start: int) -> tuple[tuple[str, ...], int]:
    """The file's lines from `start` on beside the wanted ones, and how many of the latter are not there."""
    here = lines[start : start + len(wanted)]
    width = len(str(start + len(here)))
    shown: list[str] = []
    differing = 0
    for tag, i, end, j, stop in SequenceMatcher(None, wanted, here, autojunk=False).get_opcodes():
        if tag == "equal":
            shown += [f"{start + n + 1:>{width}}  {printable(here[n])}" for n in range(j, stop)]
            continue
        differing += end - i
        shown += [f"{'':>{width}}  expected: {printable(wanted[n])}" for n in range(i, end)]
        shown += [f"{start + n + 1:>{width}}  found:    {printable(here[n])}" for n in range(j, stop)]
    return tuple(shown[:_MOST_LINES]), differing
