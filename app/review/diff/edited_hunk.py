"""A hunk of a patch with other words for its new side, before it is applied."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.review.diff.compare import Block, blocks
from app.review.diff.hunk_text import HunkText
from app.review.diff.splice import line_ending
from app.review.errors import ReviewError
from app.review.model import DiffLine, FileChange, Hunk


def with_new_side(change: FileChange, hunk: Hunk, text: str) -> FileChange:
    """`change` with `text` as the new side of `hunk`, one of its own; the hunks behind it move.

    The hunk keeps its id, and line endings and a missing newline at the end stay as they are. Raises
    ReviewError where nothing would be changed any more, and for a file that the change deletes.
    """
    if change.kind == "deleted":
        raise ReviewError(f"{change.path} is deleted, and has no lines then", "skip this, and delete by hand")
    ending = line_ending(change.path, hunk)
    end = "\r" if ending == b"\r\n" else ""
    wanted = [line + end for line in text.removesuffix("\n").split("\n")] if text else []
    old = [line for line in hunk.lines if line.kind != "added"]
    ends_open = any(not line.has_newline for line in hunk.lines if line.kind != "removed")
    new = [(line, not ends_open or n < len(wanted) - 1) for n, line in enumerate(wanted)]
    if ends_open and new and end:
        new[-1] = (new[-1][0].removesuffix(end), False)
    lines = tuple(_lines(hunk, old, new))
    if all(line.kind == "context" for line in lines):
        raise ReviewError("Nothing would be left of this hunk", "skip it (x)")
    edited = replace(
        hunk,
        lines=lines,
        after_start=hunk.after_start + bool(new) - bool(hunk.after_count),
        after_count=len(new),
    )
    place, shift = change.hunks.index(hunk), edited.after_count - hunk.after_count
    later = tuple(_moved(one, shift) for one in change.hunks[place + 1 :])
    return replace(change, hunks=(*change.hunks[:place], edited, *later))


def _lines(hunk: Hunk, old: Sequence[DiffLine], new: Sequence[tuple[str, bool]]) -> Iterator[DiffLine]:
    """The diff of both sides. A line of the new one is its text, and whether a newline ends it."""
    before = hunk.before_start + (not hunk.before_count)
    after = hunk.after_start + (not hunk.after_count)
    changed = blocks([(line.text, line.has_newline) for line in old], new)
    i = j = 0
    for block in [*changed, Block(len(old), len(old), len(new), len(new))]:
        for n, same in enumerate(old[i : block.before_start]):
            yield DiffLine("context", same.text, before + i + n, after + j + n, same.has_newline)
        for n in range(block.before_start, block.before_end):
            yield DiffLine("removed", old[n].text, before + n, None, old[n].has_newline)
        for n in range(block.after_start, block.after_end):
            yield DiffLine("added", new[n][0], None, after + n, new[n][1])
        i, j = block.before_end, block.after_end


def _moved(hunk: Hunk, lines: int) -> Hunk:
    """`hunk` with its new side moved down by that many lines."""
    start = hunk.after_start + lines
    if isinstance(hunk.lines, HunkText):
        return replace(hunk, after_start=start, lines=HunkText(hunk.lines.body, hunk.before_start, start))
    moved = tuple(
        replace(line, after_number=line.after_number + lines) if line.after_number is not None else line
        for line in hunk.lines
    )
    return replace(hunk, after_start=start, lines=moved)
