"""The syntax colours of a file's hunks, read from the whole file as it is: where a string or comment of several
lines begins or ends is known only from there.
"""

from collections.abc import Mapping, Sequence

from pygments.lexer import Lexer

from app.review.model import FileChange, Hunk
from app.ui.diff.model.rows import first_lines
from app.ui.drawing.syntax import Spans, highlight_lines
from app.ui.drawing.text import visible

LONG_LINE = 2_000  # characters; beyond, a line has neither colour nor word marks
# Characters of a file up to which hunks are coloured. Chosen: pygments takes a few seconds for so much.
_LARGEST = 1_000_000

# The spans of a hunk's lines before the change, and after it.
Sides = tuple[Sequence[Spans], Sequence[Spans]]


def file_colours(change: FileChange, lines: Sequence[str], lexer: Lexer) -> Mapping[str, Sides]:
    """The colours of a file's hunks by their ids; `lines` are the file after the change. A hunk is missing
    whose lines are not there."""
    before: list[str] = []
    places: dict[str, tuple[int, int]] = {}
    end = 0
    hunks = [hunk for hunk in change.hunks if hunk.lines and _is_in(hunk, lines)]
    for hunk in sorted(hunks, key=lambda hunk: first_lines(hunk)[1]):
        start = first_lines(hunk)[1] - 1
        if start < end:
            continue
        before += lines[end:start]
        places[hunk.id] = (len(before), start)
        before += [line.text for line in hunk.lines if line.kind != "added"]
        end = start + hunk.after_count
    old, new = (_spans(side, lexer) for side in (before, lines[:end]))
    return {
        hunk.id: (old[at : at + hunk.before_count], new[start : start + hunk.after_count])
        for hunk in hunks
        if hunk.id in places
        for at, start in [places[hunk.id]]
    }


def _is_in(hunk: Hunk, lines: Sequence[str]) -> bool:
    start = first_lines(hunk)[1] - 1
    there = [line.text for line in hunk.lines if line.kind != "removed"]
    return list(lines[start : start + len(there)]) == there


def _spans(lines: Sequence[str], lexer: Lexer) -> Sequence[Spans]:
    shown: list[str] = []
    size = 0
    for line in lines:
        size += len(line) + 1
        if size > _LARGEST:
            break
        shown.append(visible(line) if len(line) <= LONG_LINE else "")
    return highlight_lines(shown, lexer)
