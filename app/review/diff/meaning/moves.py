"""Code that moved: lines removed in one place of a diff and added in another, within files and across them.

Every changed line whose text is also on the other side counts, as with `git diff --color-moved=plain`. Runs of
such lines are found first, as blocks: those are told with where they come from, may be indented otherwise, and
may have edits inside. The time is linear: a line that is too frequent begins no block, and a block is compared
with a bounded number of places.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from app.review.diff.hunk_text import line_marks, line_texts
from app.review.diff.words import Span, pair, similarity, word_marks
from app.review.model import FileChange

_LEAST = 20
"""Letters and digits of a block: what git asks of one (COLOR_MOVED_MIN_ALNUM_COUNT)."""
_PLACES = 16  # where a line that begins a block may occur; chosen
_GAP = 5  # lines edited in one place inside a moved block; chosen
_ALIKE = 0.4  # of their words; below, a line inside a moved block is another line
_MOST_LINES = 300_000
"""Changed lines in which moves are looked for: about two seconds' work."""
_BLANKS = b" \t\r\f\v"
_WORDLESS = re.compile(rb"[^0-9A-Za-z\x80-\xff]+")


@dataclass(frozen=True, slots=True)
class MovedLine:
    """The other end of a moved line: its path, its number there (before the change for an added line, after it
    for a removed one) and its text's index in the `lines` of the hunk `hunk`.

    `is_block` is false for a line that moved alone. `is_edited`: the line became another one on the way, and
    `marks` are the changed parts of this end, [start, end) in characters.
    """

    path: str
    number: int
    hunk: str
    index: int
    is_block: bool = False
    is_edited: bool = False
    marks: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class MovedBlock:
    """One end of a block that moved: `lines` lines, and where the other end begins."""

    path: str
    number: int
    lines: int


@dataclass(frozen=True, slots=True)
class Moves:
    """Moved lines by hunk id and index in `Hunk.lines`; by hunk id the blocks that came to it and that left it.
    `is_partial`: the diff is too large, and nothing was looked for."""

    lines: Mapping[str, Mapping[int, MovedLine]] = field(default_factory=dict)
    came: Mapping[str, Sequence[MovedBlock]] = field(default_factory=dict)
    left: Mapping[str, Sequence[MovedBlock]] = field(default_factory=dict)
    is_partial: bool = False


class _Side:
    """All removed or all added lines of a diff, in its order."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.keys: list[bytes] = []  # without indentation
        self.hunks: list[int] = []
        self.indices: list[int] = []
        self.numbers: list[int] = []  # in the file
        self.blocks: list[int] = []  # the run of changed lines that a line is in
        self.taken: list[bool] = []

    def add(self, text: bytes, hunk: int, index: int, number: int, block: int) -> None:
        self.texts.append(text)
        self.keys.append(text.strip(_BLANKS))
        self.hunks.append(hunk)
        self.indices.append(index)
        self.numbers.append(number)
        self.blocks.append(block)
        self.taken.append(False)

    def follows(self, place: int) -> bool:
        """Whether the next line is there, and next to it in the file."""
        return place + 1 < len(self.blocks) and self.blocks[place + 1] == self.blocks[place]


@dataclass(slots=True)
class _Run:
    """Removed lines [old, old + count) are the added lines [new, new + count)."""

    old: int
    new: int
    count: int


def find_moves(changes: Sequence[FileChange], most_lines: int = _MOST_LINES) -> Moves:
    """What moved within `changes`; with more than `most_lines` changed lines nothing is looked for."""
    if sum(change.added + change.removed for change in changes) > most_lines:
        return Moves(is_partial=True)
    found = _Search(changes)
    found.find_blocks()
    return found.moves()


class _Search:
    def __init__(self, changes: Sequence[FileChange]) -> None:
        self._hunks = [(change, hunk) for change in changes for hunk in change.hunks if hunk.lines]
        self._old, self._new = _Side(), _Side()
        self._groups: list[list[_Run]] = []
        block = 0
        for number, (_, hunk) in enumerate(self._hunks):
            block += 1
            marks, texts = line_marks(hunk.lines), line_texts(hunk.lines)
            before, after = hunk.before_start, hunk.after_start
            for index, (mark, text) in enumerate(zip(marks, texts, strict=True)):
                if mark == 0x20:
                    block += 1
                elif mark == 0x2D:
                    self._old.add(text, number, index, before, block)
                else:
                    self._new.add(text, number, index, after, block)
                before += mark != 0x2B
                after += mark != 0x2D

    # Blocks.

    def find_blocks(self) -> None:
        """Group equal runs on both sides into moved blocks, the large ones first."""
        places: dict[bytes, list[int]] = {}
        for place, key in enumerate(self._old.keys):
            known = places.setdefault(key, [])
            if len(known) <= _PLACES:
                known.append(place)
        useful = {
            key: found
            for key, found in places.items()
            if len(found) <= _PLACES and len(_WORDLESS.sub(b"", key)) > 2
        }
        runs = [*self._runs(useful, _LEAST), *self._runs(useful, 1)]
        runs.sort(key=lambda run: run.new)
        for run in runs:
            if self._groups and self._joins(self._groups[-1][-1], run):
                self._groups[-1].append(run)
            else:
                self._groups.append([run])
        self._groups = [
            group
            for group in self._groups
            if sum(_substance(self._new.texts[run.new : run.new + run.count]) for run in group) >= _LEAST
        ]

    def _runs(self, places: Mapping[bytes, Sequence[int]], least: int) -> Iterable[_Run]:
        new, old = self._new, self._old
        at = 0
        while at < len(new.keys):
            step = 1
            if not new.taken[at] and (found := places.get(new.keys[at])):
                lengths = [(self._reach(place, at), -place) for place in found]
                count, negative = max(lengths)
                if count:
                    run = self._widened(-negative, at, count)
                    if _substance(new.texts[run.new : run.new + run.count]) >= least:
                        new.taken[run.new : run.new + run.count] = [True] * run.count
                        old.taken[run.old : run.old + run.count] = [True] * run.count
                        yield run
                    step = count
            at += step

    def _is_same(self, old: int, new: int) -> bool:
        """Whether a removed line may be an added one. In one place of the file, where it did not go anywhere,
        lines that are indented otherwise did not move."""
        if self._old.taken[old] or self._new.taken[new] or self._old.keys[old] != self._new.keys[new]:
            return False
        return self._old.texts[old] == self._new.texts[new] or self._old.blocks[old] != self._new.blocks[new]

    def _reach(self, old: int, new: int) -> int:
        """How many lines are the same from here on."""
        count = 0
        while self._is_same(old + count, new + count):
            count += 1
            if not (self._old.follows(old + count - 1) and self._new.follows(new + count - 1)):
                break
        return count

    def _widened(self, old: int, new: int, count: int) -> _Run:
        """A run with the equal lines above it."""
        while old and new and self._old.follows(old - 1) and self._new.follows(new - 1):
            if not self._is_same(old - 1, new - 1):
                break
            old, new, count = old - 1, new - 1, count + 1
        return _Run(old, new, count)

    def _joins(self, above: _Run, below: _Run) -> bool:
        """Whether two runs are one block with an edit between them."""
        old, new = range(above.old + above.count, below.old), range(above.new + above.count, below.new)
        if below.old < old.start or len(old) > _GAP or len(new) > _GAP:
            return False
        if self._old.blocks[above.old] != self._old.blocks[below.old]:
            return False
        if self._new.blocks[above.new] != self._new.blocks[below.new]:
            return False
        if max(len(old), len(new)) > above.count + below.count:
            return False
        return not (any(self._old.taken[n] for n in old) or any(self._new.taken[n] for n in new))

    # What is told.

    def moves(self) -> Moves:
        """The result."""
        lines: dict[str, dict[int, MovedLine]] = {}
        came: dict[str, list[MovedBlock]] = {}
        left: dict[str, list[MovedBlock]] = {}
        self._alone(lines)
        for group in self._groups:
            for run in group:
                for step in range(run.count):
                    self._tell(lines, run.old + step, run.new + step, is_block=True)
            for above, below in pairwise(group):
                self._tell_edits(lines, above, below)
            first, last = group[0], group[-1]
            old_hunk, new_hunk = (
                self._hunks[self._old.hunks[first.old]],
                self._hunks[self._new.hunks[first.new]],
            )
            came.setdefault(new_hunk[1].id, []).append(
                MovedBlock(
                    old_hunk[0].previous_path or old_hunk[0].path,
                    self._old.numbers[first.old],
                    last.new + last.count - first.new,
                )
            )
            left.setdefault(old_hunk[1].id, []).append(
                MovedBlock(new_hunk[0].path, self._new.numbers[first.new], last.old + last.count - first.old)
            )
        return Moves(lines, came, left)

    def _alone(self, lines: dict[str, dict[int, MovedLine]]) -> None:
        """Lines that are on both sides, each told with the first place of its text on the other one."""
        first_old: dict[bytes, int] = {}
        first_new: dict[bytes, int] = {}
        for firsts, side in ((first_old, self._old), (first_new, self._new)):
            for place, text in enumerate(side.texts):
                firsts.setdefault(text, place)
        for place, text in enumerate(self._old.texts):
            if (other := first_new.get(text)) is not None:
                self._put(lines, self._old, place, self._end(self._new, other))
        for place, text in enumerate(self._new.texts):
            if (other := first_old.get(text)) is not None:
                self._put(lines, self._new, place, self._end(self._old, other))

    def _tell_edits(self, lines: dict[str, dict[int, MovedLine]], above: _Run, below: _Run) -> None:
        old = range(above.old + above.count, below.old)
        new = range(above.new + above.count, below.new)
        was = [_text(self._old.texts[n]) for n in old]
        now = [_text(self._new.texts[n]) for n in new]
        for i, j in pair(was, now):
            if similarity(was[i], now[j]) >= _ALIKE:
                marks = _marks(was[i], now[j])
                self._tell(lines, old[i], new[j], is_block=True, marks=marks)

    def _tell(
        self,
        lines: dict[str, dict[int, MovedLine]],
        old: int,
        new: int,
        *,
        is_block: bool,
        marks: tuple[tuple[Span, ...], tuple[Span, ...]] | None = None,
    ) -> None:
        old_marks, new_marks = marks or ((), ())
        is_edited = marks is not None
        self._put(lines, self._old, old, self._end(self._new, new, is_block, is_edited, old_marks))
        self._put(lines, self._new, new, self._end(self._old, old, is_block, is_edited, new_marks))

    def _put(self, lines: dict[str, dict[int, MovedLine]], side: _Side, place: int, line: MovedLine) -> None:
        lines.setdefault(self._hunks[side.hunks[place]][1].id, {})[side.indices[place]] = line

    def _end(
        self,
        side: _Side,
        place: int,
        is_block: bool = False,
        is_edited: bool = False,
        marks: tuple[Span, ...] = (),
    ) -> MovedLine:
        change, hunk = self._hunks[side.hunks[place]]
        path = (change.previous_path or change.path) if side is self._old else change.path
        return MovedLine(path, side.numbers[place], hunk.id, side.indices[place], is_block, is_edited, marks)


def _substance(texts: Iterable[bytes]) -> int:
    return sum(len(_WORDLESS.sub(b"", text)) for text in texts)


def _marks(was: str, now: str) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The changed words of two lines; a block's other indentation is no edit."""
    shifts = len(was) - len(was.lstrip()), len(now) - len(now.lstrip())
    old, new = word_marks(was[shifts[0] :], now[shifts[1] :])
    return (
        tuple((start + shifts[0], end + shifts[0]) for start, end in old),
        tuple((start + shifts[1], end + shifts[1]) for start, end in new),
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
