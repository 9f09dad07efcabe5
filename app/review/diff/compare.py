"""Which lines differ: two images of a file become blocks of changed lines, and those become hunks.

The engine is patience diff (anchor on lines that occur once on both sides, Bram Cohen 2003) between which
Myers' greedy O(ND) search (Algorithmica 1, 1986) fills the gaps. Common heads and tails are trimmed first. The
search is cut off once it has cost too much for the size of the gap and goes on from the furthest point it
reached, as xdiff does, so that time stays close to linear whatever the input: the result is then still a
correct diff, only not the shortest. difflib is quadratic, and a git process for each file would cost more than
most files are worth.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha1

from app.review.diff.hunk_text import HunkText
from app.review.model import ChangeKind, DiffLine, FileChange, FileImage, Hunk, LineKind

SYMLINK = 0o120000
"""git's mode of a symbolic link."""
CONTEXT_LINES = 3
"""Unchanged lines around a hunk, as in `git diff`."""
# Beyond this a file is compared as one opaque piece, like a binary one.
MAX_TEXT_BYTES = 64 * 1024 * 1024
# git looks for a NUL in as many bytes to tell binary from text.
_BINARY_PROBE = 8000
_SEARCH_WORK = 4_000_000
_SECTION_WIDTH = 80
"""Characters of the line that heads a hunk, as in git (`xfuncname`)."""


@dataclass(frozen=True, slots=True)
class Block:
    """Lines [before_start, before_end) were replaced by lines [after_start, after_end); counted from 0."""

    before_start: int
    before_end: int
    after_start: int
    after_end: int


def is_opaque(data: bytes) -> bool:
    """Whether content is handled as one piece: git calls it binary, or it is too large to compare by line."""
    return len(data) > MAX_TEXT_BYTES or b"\0" in data[:_BINARY_PROBE]


def split_lines(data: bytes) -> list[bytes]:
    """Lines with their ending. Only \\n ends a line; a carriage return before it is text."""
    if b"\r" not in data:
        # Several times faster than a split, but it also breaks at a lone carriage return.
        return data.splitlines(keepends=True)
    lines = [line + b"\n" for line in data.split(b"\n")]
    last = lines.pop()[:-1]
    if last:
        lines.append(last)
    return lines


def blocks(before: Sequence[Hashable], after: Sequence[Hashable]) -> list[Block]:
    """The changed blocks between two sequences, in order; between any two lies at least one equal item."""
    identity: dict[Hashable, int] = {}
    a = [identity.setdefault(item, len(identity)) for item in before]
    b = [identity.setdefault(item, len(identity)) for item in after]
    kept_a, kept_b = bytearray(len(a)), bytearray(len(b))
    for i, j, length in _matches(a, b):
        kept_a[i : i + length] = b"\1" * length
        kept_b[j : j + length] = b"\1" * length
    return _slide(list(_gaps(kept_a, kept_b)), a, b)


def _gaps(kept_a: bytearray, kept_b: bytearray) -> Iterator[Block]:
    i = j = 0
    while i < len(kept_a) or j < len(kept_b):
        # Both sides now stand at an equal run or at a change.
        end_a, end_b = kept_a.find(0, i), kept_b.find(0, j)
        end_a = len(kept_a) if end_a < 0 else end_a
        end_b = len(kept_b) if end_b < 0 else end_b
        run = min(end_a - i, end_b - j)
        i, j = i + run, j + run
        next_a, next_b = kept_a.find(1, i), kept_b.find(1, j)
        next_a = len(kept_a) if next_a < 0 else next_a
        next_b = len(kept_b) if next_b < 0 else next_b
        if next_a > i or next_b > j:
            yield Block(i, next_a, j, next_b)
        i, j = next_a, next_b


def _matches(a: list[int], b: list[int]) -> Iterator[tuple[int, int, int]]:
    pending = [(0, len(a), 0, len(b))]
    while pending:
        a0, a1, b0, b1 = pending.pop()
        start = a0
        while a0 < a1 and b0 < b1 and a[a0] == b[b0]:
            a0, b0 = a0 + 1, b0 + 1
        if a0 > start:
            yield start, b0 - (a0 - start), a0 - start
        end = a1
        while a0 < a1 and b0 < b1 and a[a1 - 1] == b[b1 - 1]:
            a1, b1 = a1 - 1, b1 - 1
        if end > a1:
            yield a1, b1, end - a1
        if a0 == a1 or b0 == b1:
            continue
        inner_a, inner_b = a[a0:a1], b[b0:b1]
        anchors = _anchors(inner_a, inner_b)
        if not anchors:
            yield from ((a0 + i, b0 + j, 1) for i, j in _greedy(inner_a, inner_b))
            continue
        for i, j in [(a0 + i, b0 + j) for i, j in anchors]:
            yield i, j, 1
            pending.append((a0, i, b0, j))
            a0, b0 = i + 1, j + 1
        pending.append((a0, a1, b0, b1))


def _anchors(a: list[int], b: list[int]) -> list[tuple[int, int]]:
    """The longest increasing run of items that occur exactly once on both sides."""
    count_a, count_b = Counter(a), Counter(b)
    unique = {item for item, count in count_a.items() if count == 1 and count_b.get(item) == 1}
    if not unique:
        return []
    place = {item: i for i, item in enumerate(a) if item in unique}
    pairs = [(place[item], j) for j, item in enumerate(b) if item in unique]
    # Patience sorting: piles of smallest tails, with a link to the pile on the left.
    tails: list[int] = []
    owners: list[int] = []
    links: list[int] = []
    for number, (i, _) in enumerate(pairs):
        pile = bisect_left(tails, i)
        links.append(owners[pile - 1] if pile else -1)
        if pile == len(tails):
            tails.append(i)
            owners.append(number)
        else:
            tails[pile] = i
            owners[pile] = number
    chain: list[tuple[int, int]] = []
    number = owners[-1]
    while number >= 0:
        chain.append(pairs[number])
        number = links[number]
    return chain[::-1]


def _greedy(a: list[int], b: list[int]) -> Iterator[tuple[int, int]]:
    """Myers' forward search; when it costs too much, what it has found is taken and it starts afresh there."""
    if not set(a) & set(b):
        return
    most = max(48, min(500, _SEARCH_WORK // (len(a) + len(b))))
    a0 = b0 = 0
    while a0 < len(a) and b0 < len(b):
        n, m = len(a) - a0, len(b) - b0
        # reach[k + offset] is the furthest x on diagonal k = x - y; trace[d] is reach before step d.
        offset = most + 1
        reach = [-1] * (2 * offset + 1)
        reach[offset + 1] = 0
        trace: list[list[int]] = []
        goal: tuple[int, int] | None = None
        for cost in range(min(most, n + m) + 1):
            trace.append(reach[offset - cost - 1 : offset + cost + 2])
            for k in range(-cost + 2 * max(0, cost - m), cost - 2 * max(0, cost - n) + 1, 2):
                down, right = reach[offset + k + 1], reach[offset + k - 1] + 1
                x = down if k == -cost or (k != cost and right <= down) else right
                y = x - k
                while x < n and y < m and a[a0 + x] == b[b0 + y]:
                    x, y = x + 1, y + 1
                reach[offset + k] = x
                if x >= n and y >= m:
                    goal = (x, y)
                    break
            if goal:
                break
        if not goal:
            ends = ((reach[offset + k], reach[offset + k] - k) for k in range(-cost, cost + 1, 2))
            goal = max(((x, y) for x, y in ends if 0 <= x <= n and 0 <= y <= m), key=sum, default=(0, 0))
            if goal == (0, 0):
                return
        yield from ((a0 + i, b0 + j) for i, j in _backtrack(trace, goal))
        a0, b0 = a0 + goal[0], b0 + goal[1]


def _backtrack(trace: list[list[int]], goal: tuple[int, int]) -> Iterator[tuple[int, int]]:
    x, y = goal
    for cost in range(len(trace) - 1, -1, -1):
        reach, k = trace[cost], x - y
        down, right = reach[cost + 1 + k + 1], reach[cost + 1 + k - 1] + 1
        came_down = k == -cost or (k != cost and right <= down)
        start_x = down if came_down else right
        while x > start_x:
            x, y = x - 1, y - 1
            yield x, y
        if cost:
            x, y = (x, y - 1) if came_down else (x - 1, y)


def _slide(found: list[Block], a: list[int], b: list[int]) -> list[Block]:
    """Move a pure insertion or deletion down as far as it goes, as git does: a new function is then shown
    whole, with its own end and not its neighbour's."""
    result: list[Block] = []
    for number, block in enumerate(found):
        following = found[number + 1] if number + 1 < len(found) else Block(len(a), len(a), len(b), len(b))
        room = following.before_start - block.before_end
        items, start, end = (
            (a, block.before_start, block.before_end)
            if block.after_start == block.after_end
            else (b, block.after_start, block.after_end)
        )
        shift = 0
        if block.before_start == block.before_end or block.after_start == block.after_end:
            # One equal line stays between this block and the next.
            while shift < room - 1 and items[start + shift] == items[end + shift]:
                shift += 1
            at_end = following.before_start == len(a) and following.after_start == len(b)
            if at_end and shift == room - 1 and room and items[start + shift] == items[end + shift]:
                shift += 1
        result.append(
            Block(
                block.before_start + shift,
                block.before_end + shift,
                block.after_start + shift,
                block.after_end + shift,
            )
        )
    return result


def diff_tokens(image: FileImage | None) -> list[bytes]:
    """What is compared: lines, or one piece for a symlink's target and for opaque content."""
    if image is None or not image.data:
        return []
    if image.mode == SYMLINK or is_opaque(image.data):
        return [image.data]
    return split_lines(image.data)


def file_change(
    path: str, before: FileImage | None, after: FileImage | None, context: int = CONTEXT_LINES
) -> FileChange | None:
    """The change of one file as git would show it; None when nothing changed.

    Hunk ids are made from what a hunk changes, so that they outlive changes elsewhere in the file.
    """
    if before == after:
        return None
    kind = change_kind(before, after)
    hunks: list[Hunk] = []
    if before and after and before.mode != after.mode:
        hunks.append(header_hunk(path))
    if before is None or after is None or before.data != after.data:
        if kind in ("binary", "symlink"):
            hunks = [header_hunk(path)]
        else:
            a, b = diff_tokens(before), diff_tokens(after)
            hunks.extend(hunks_of(path, a, b, blocks(a, b), context))
    return FileChange(
        path=path,
        kind=kind,
        hunks=tuple(hunks) or (header_hunk(path),),
        before_mode=before.mode if before else None,
        after_mode=after.mode if after else None,
    )


def change_kind(before: FileImage | None, after: FileImage | None) -> ChangeKind:
    """The one word for a change. Creation and deletion come first, whatever the content is."""
    images = [image for image in (before, after) if image]
    if any(image.mode == SYMLINK for image in images):
        return "symlink"
    if any(is_opaque(image.data) for image in images):
        return "binary"
    if before is None:
        return "created"
    if after is None:
        return "deleted"
    return "mode" if before.data == after.data else "modified"


def header_hunk(path: str) -> Hunk:
    """The hunk that stands for what has no lines: a mode, a rename, binary content, an empty file."""
    return Hunk(id=f"{path}:header", before_start=0, before_count=0, after_start=0, after_count=0, lines=())


def hunks_of(path: str, a: list[bytes], b: list[bytes], found: list[Block], context: int) -> list[Hunk]:
    """Blocks as hunks with `context` lines around; blocks whose context would touch share a hunk."""
    groups: list[list[Block]] = []
    for block in found:
        if groups and block.before_start - groups[-1][-1].before_end <= 2 * context:
            groups[-1].append(block)
        else:
            groups.append([block])
    seen: Counter[str] = Counter()
    result: list[Hunk] = []
    sections = _Sections(a)
    for group in groups:
        lead = min(context, group[0].before_start)
        trail = min(context, len(a) - group[-1].before_end)
        a0, b0 = group[0].before_start - lead, group[0].after_start - lead
        lines: list[DiffLine] = []
        i, j = a0, b0
        for block in group:
            lines.extend(_equal(a, range(i, block.before_start), j))
            lines.extend(
                diff_line("removed", a[n], n + 1, None) for n in range(block.before_start, block.before_end)
            )
            lines.extend(
                diff_line("added", b[n], None, n + 1) for n in range(block.after_start, block.after_end)
            )
            i, j = block.before_end, block.after_end
        lines.extend(_equal(a, range(i, i + trail), j))
        i, j = i + trail, j + trail
        before_count, after_count = i - a0, j - b0
        result.append(
            Hunk(
                id=hunk_id(path, lines, seen),
                before_start=a0 + bool(before_count),
                before_count=before_count,
                after_start=b0 + bool(after_count),
                after_count=after_count,
                lines=tuple(lines),
                section=sections.above(a0),
            )
        )
    return result


def _equal(a: list[bytes], numbers: range, j: int) -> list[DiffLine]:
    return [diff_line("context", a[i], i + 1, i + 1 + j - numbers.start) for i in numbers]


def diff_line(kind: LineKind, raw: bytes, before_number: int | None, after_number: int | None) -> DiffLine:
    """One line of content, with its ending, as a diff's line."""
    has_newline = raw.endswith(b"\n")
    text = (raw[:-1] if has_newline else raw).decode("utf-8", "surrogateescape")
    return DiffLine(kind, text, before_number, after_number, has_newline)


def line_bytes(line: DiffLine) -> bytes:
    """The inverse of `diff_line`: the content's bytes, with their ending."""
    return line.text.encode("utf-8", "surrogateescape") + (b"\n" if line.has_newline else b"")


def hunk_id(path: str, lines: Sequence[DiffLine], seen: Counter[str]) -> str:
    """A name made from the path and the changed lines, where they are at hand; from the hunk's text, where that
    is all there is. `seen` tells twins within one file apart."""
    digest = sha1(path.encode("utf-8", "surrogateescape"), usedforsecurity=False)
    if isinstance(lines, HunkText):
        digest.update(lines.body)
    else:
        for line in lines:
            if line.kind != "context":
                digest.update(line.kind[0].encode() + line_bytes(line))
    name = digest.hexdigest()[:16]
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}-{seen[name]}"


class _Sections:
    """The heading of a hunk: the nearest line above it that starts with a letter, "_" or "$", as in git."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self._searched = 0
        self._heading = ""

    def above(self, start: int) -> str:
        for number in range(start - 1, self._searched - 1, -1):
            first = self._lines[number][:1]
            if first.isalpha() or first in (b"_", b"$"):
                text = self._lines[number].rstrip().decode("utf-8", "replace")
                self._heading = text[:_SECTION_WIDTH]
                break
        self._searched = max(start, self._searched)
        return self._heading
