"""Patch surgery: from a change and a selection of its hunks and lines, a patch that `git apply` takes.

A patch is built for one of two directions. Forward, it is applied to the side before (staging): an unselected
removal becomes context, an unselected addition is dropped. In reverse, it is applied with `git apply -R` to the
side after (unstaging, discarding): an unselected addition becomes context, an unselected removal is dropped.

Where the lines of a change land when only some are taken: the side that the patch is applied to fixes the order
of its own lines; a line that the patch brings in goes right behind the line it replaces, if that one is taken
too, and otherwise in front of whatever of its block stays. Staging `+A` alone out of `-a -b +A +B` gives
`A a b`, staging `-a +A` gives `A b`, staging `-b +B` gives `a B`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from stat import S_IFMT

from app.review.diff.compare import line_bytes
from app.review.diff.names import quote
from app.review.diff.words import change_blocks, pair
from app.review.errors import ReviewError
from app.review.model import DiffLine, FileChange, Hunk, LineKind, Selection


def whole(change: FileChange) -> Selection:
    """Everything in a change."""
    return {hunk.id: None for hunk in change.hunks}


def build_patch(change: FileChange, selection: Selection, reverse: bool = False) -> bytes:
    """The patch for the selected part of one file, b"" when nothing of it is selected.

    It may lack context where the change does (at neighbouring hunks, in a diff made with -U0): apply it with
    `--unidiff-zero`. Raises ReviewError for a merge's combined diff and for binary content whose patch is not
    known: the caller is to stage or discard such a file whole, by its path.
    """
    chosen = [hunk for hunk in change.hunks if hunk.id in selection]
    if not chosen:
        return b""
    if change.kind == "combined":
        raise ReviewError(
            f"{change.path} is shown as a merge's combined diff", "stage or discard the whole file"
        )
    if _changes_type(change):
        if not all(_is_whole(hunk, selection) for hunk in change.hunks):
            raise ReviewError(f"{change.path} becomes another type of file", "take all of it")
        return b"".join(build_patch(half, whole(half), reverse) for half in _halves(change))
    header = any(not hunk.lines for hunk in chosen)
    everything = all(_is_whole(hunk, selection) for hunk in change.hunks)
    if change.kind == "binary" and not change.binary_patch:
        raise ReviewError(f"{change.path} is binary and its content is not in the diff", "take the whole file")
    body = b"".join(
        _hunk_text(hunk) for hunk in _arrange([h for h in change.hunks if h.lines], selection, reverse)
    )
    if not body and not header:
        return b""
    return _file_header(change, header, everything, reverse, bool(body)) + body


def _changes_type(change: FileChange) -> bool:
    """Whether a file becomes a symlink, or the other way round, with lines that a patch can hold."""
    modes = change.before_mode, change.after_mode
    return None not in modes and len({mode and S_IFMT(mode) for mode in modes}) == 2


def _halves(change: FileChange) -> tuple[FileChange, FileChange]:
    """A change of type as git writes it, a removal and a creation."""
    [hunk] = change.hunks
    removed = tuple(line for line in hunk.lines if line.kind == "removed")
    added = tuple(line for line in hunk.lines if line.kind == "added")
    gone = replace(hunk, after_start=0, after_count=0, lines=removed)
    made = replace(hunk, before_start=0, before_count=0, lines=added)
    return (
        replace(change, after_mode=None, hunks=(gone,)),
        replace(change, before_mode=None, hunks=(made,)),
    )


def _is_whole(hunk: Hunk, selection: Selection) -> bool:
    if hunk.id not in selection:
        return False
    lines = selection[hunk.id]
    return lines is None or all(n in lines for n, line in enumerate(hunk.lines) if line.kind != "context")


def _file_header(change: FileChange, header: bool, everything: bool, reverse: bool, has_body: bool) -> bytes:
    """git's extended header. A creation or deletion taken in part is a modification for the side it is applied
    to; a rename or mode change that is not taken leaves the file where and as it is."""
    before, after = change.previous_path or change.path, change.path
    moved = change.previous_path is not None
    created = change.before_mode is None and change.after_mode is not None and not moved
    deleted = change.after_mode is None and change.before_mode is not None
    if moved and not header:
        before = after = change.path if reverse else before
    if created and reverse and not everything:
        created = False
    if deleted and not reverse and not everything:
        deleted = False
    text = b"diff --git %s %s\n" % (_name("a/", before), _name("b/", after))
    if created:
        text += b"new file mode %06o\n" % (change.after_mode or 0)
    elif deleted:
        text += b"deleted file mode %06o\n" % (change.before_mode or 0)
    elif header and change.before_mode != change.after_mode and change.before_mode and change.after_mode:
        text += b"old mode %06o\nnew mode %06o\n" % (change.before_mode, change.after_mode)
    if moved and header:
        word = b"copy" if change.kind == "copied" else b"rename"
        text += b"%s from %s\n%s to %s\n" % (word, _name("", before), word, _name("", after))
    if change.binary_patch and header:
        return text + change.binary_patch
    if has_body:
        text += b"--- %s\n" % (b"/dev/null" if created else _named(_name("a/", before)))
        text += b"+++ %s\n" % (b"/dev/null" if deleted else _named(_name("b/", after)))
    return text


def _name(prefix: str, path: str) -> bytes:
    return quote((prefix + path).encode("utf-8", "surrogateescape"))


def _named(name: bytes) -> bytes:
    # git's own mark that a name with spaces ends here.
    return name + b"\t" if b" " in name else name


def _hunk_text(hunk: Hunk) -> bytes:
    text = b"@@ -%s +%s @@\n" % (
        _range(hunk.before_start, hunk.before_count),
        _range(hunk.after_start, hunk.after_count),
    )
    marks = {"context": b" ", "removed": b"-", "added": b"+"}
    for line in hunk.lines:
        raw = line_bytes(line)
        text += marks[line.kind] + raw
        if not line.has_newline:
            text += b"\n\\ No newline at end of file\n"
    return text


def _range(start: int, count: int) -> bytes:
    return b"%d" % start if count == 1 else b"%d,%d" % (start, count)


@dataclass(slots=True)
class _Run:
    """Lines of a patch under construction, of hunks that touch: git refuses a hunk without trailing context
    anywhere but at the end of a file, so neighbours become one."""

    lines: list[DiffLine]
    before_end: int
    changed: bool


def _arrange(hunks: Sequence[Hunk], selection: Selection, reverse: bool) -> Iterable[Hunk]:
    runs: list[tuple[Hunk, _Run]] = []
    for hunk in hunks:
        selected = selection.get(hunk.id, frozenset())
        numbers = frozenset(range(len(hunk.lines))) if selected is None else selected
        lines, changed = select_lines(hunk.lines, numbers, reverse)
        fixed_start, fixed_count = (
            (hunk.after_start, hunk.after_count) if reverse else (hunk.before_start, hunk.before_count)
        )
        start = fixed_start if fixed_count else fixed_start + 1
        if runs and start <= runs[-1][1].before_end:
            runs[-1][1].lines.extend(lines)
            runs[-1][1].changed |= changed
            runs[-1][1].before_end = start + fixed_count
        else:
            runs.append((hunk, _Run(list(lines), start + fixed_count, changed)))
    shift = 0
    for first, run in runs:
        if not run.changed:
            continue
        before = sum(line.kind != "added" for line in run.lines)
        after = sum(line.kind != "removed" for line in run.lines)
        fixed_start, fixed_count = (
            (first.after_start, first.after_count) if reverse else (first.before_start, first.before_count)
        )
        # The first line of the fixed side, from 0; what a side with no lines counts from is the line before.
        at = fixed_start - 1 if fixed_count else fixed_start
        before_at, after_at = (at - shift, at) if reverse else (at, at + shift)
        shift += after - before
        yield replace(
            first,
            before_start=before_at + bool(before),
            before_count=before,
            after_start=after_at + bool(after),
            after_count=after,
            lines=tuple(run.lines),
        )


def select_lines(
    lines: Sequence[DiffLine], selected: frozenset[int], reverse: bool = False
) -> tuple[list[DiffLine], bool]:
    """A hunk's lines with only `selected` (indices) changed, in the order that the module's docstring
    describes; and whether any change is left."""
    fixed: LineKind = "added" if reverse else "removed"
    result: list[DiffLine] = []
    changed = False
    at = 0
    for removed, added in change_blocks(lines):
        start, end = min(removed + added), max(removed + added) + 1
        result.extend(lines[at:start])
        at = end
        staying, coming = (added, removed) if reverse else (removed, added)
        changed |= any(n in selected for n in range(start, end))
        result.extend(_ordered(lines, staying, coming, selected))
    result.extend(lines[at:])
    return _joined(result, fixed), changed


def _ordered(
    lines: Sequence[DiffLine],
    staying: Sequence[int],
    coming: Sequence[int],
    selected: frozenset[int],
) -> Iterable[DiffLine]:
    partner = {
        coming[j]: i
        for i, j in pair([lines[n].text for n in staying], [lines[n].text for n in coming])
        # Equal text: only the newline at the end of the file came or went, and what follows must follow.
        if staying[i] in selected or lines[staying[i]].text == lines[coming[j]].text
    }
    # places[n]: the brought-in lines that go in front of the n-th line of the fixed side.
    places: list[list[DiffLine]] = [[] for _ in range(len(staying) + 1)]
    place = 0
    for n in coming:
        if n in partner:
            place = max(place, partner[n] + 1)
        if n in selected:
            places[place].append(lines[n])
    for i, n in enumerate(staying):
        yield from places[i]
        yield lines[n] if n in selected else replace(lines[n], kind="context")
    yield from places[-1]


def _joined(lines: list[DiffLine], fixed: LineKind) -> list[DiffLine]:
    """Mend a line without newline that is no longer the last of its side: as context it is taken out and put
    back with a newline; brought in, it gets one."""
    brought: LineKind = "removed" if fixed == "added" else "added"
    last_brought = max((n for n, line in enumerate(lines) if line.kind != fixed), default=-1)
    result: list[DiffLine] = []
    for n, line in enumerate(lines):
        if line.has_newline or n == last_brought or line.kind == fixed:
            result.append(line)
        elif line.kind == brought:
            result.append(replace(line, has_newline=True))
        else:
            result.append(replace(line, kind=fixed))
            result.append(replace(line, kind=brought, has_newline=True))
    return result
