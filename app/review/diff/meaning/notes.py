"""What a run of changed lines comes to, in a few words, where that is all it comes to: it is only laid out
otherwise, or a name is another one everywhere.

Both sides of a whole file are compared by their tokens, so that a change of layout is one whatever lines git
shows for it. A run of lines gets a note only if each of its tokens, on both sides, has its counterpart; where
tokens of unchanged lines have none, the runs next to them get no note.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.review.diff.compare import Block, blocks
from app.review.diff.hunk_text import line_marks
from app.review.diff.meaning.tokens import Tokens, tokens_of
from app.review.model import FileChange, Hunk

REFORMATTED = "only reformatted"

Rename = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Note:
    """Lines [start, end) of a hunk come to no more than `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of changed lines: where it is in its hunk, and its rows, from 0, in either side of the file."""

    hunk: str
    start: int
    end: int
    before: range
    after: range


@dataclass(slots=True)
class _File:
    runs: list[_Run]
    sides: tuple[Tokens, Tokens]
    renames: dict[Rename, bool]  # whether it is also renamed where it gets its meaning
    by_gap: list[tuple[Block, frozenset[Rename] | None]]  # None: more than renames
    lost_comments: tuple[list[int], list[int]]  # rows of those without counterpart


def lines_before(change: FileChange, after: Sequence[str]) -> list[str] | None:
    """The lines of the file before a change, by those after it; None where the change is not in them."""
    before: list[str] = []
    end = 0
    for hunk in change.hunks:
        if not hunk.lines:
            continue
        start = hunk.after_start - (hunk.after_count > 0)
        if start < end or [line.text for line in hunk.lines if line.kind != "removed"] != list(
            after[start : start + hunk.after_count]
        ):
            return None
        before += after[end:start]
        before += [line.text for line in hunk.lines if line.kind != "added"]
        end = start + hunk.after_count
    return [*before, *after[end:]]


def notes_on(files: Iterable[tuple[FileChange, Sequence[str]]]) -> dict[str, tuple[Note, ...]]:
    """Notes by hunk id on changes, each with the lines of its file after it. A hunk without notes is left out,
    as is a file that is not read here."""
    read = [found for change, after in files if (found := _read(change, after)) is not None]
    # A symbol is renamed where it is defined; its uses may be in other files.
    renamed = {rename for file in read for rename, is_bound in file.renames.items() if is_bound}
    result: dict[str, list[Note]] = {}
    for file in read:
        for run, text in _texts(file, renamed):
            result.setdefault(run.hunk, []).append(Note(run.start, run.end, text))
    return {hunk: tuple(notes) for hunk, notes in result.items()}


def whole_note(hunk: Hunk, notes: Sequence[Note]) -> str:
    """What a whole hunk comes to; "" if any of its changed lines is in no note."""
    marks = line_marks(hunk.lines)
    changed = len(marks) - marks.count(b" ")
    if sum(note.end - note.start for note in notes) != changed or not notes:
        return ""
    texts = dict.fromkeys(part for note in notes for part in note.text.split(" · "))
    return " · ".join(text for text in texts if text != REFORMATTED or len(texts) == 1)


def _read(change: FileChange, after: Sequence[str]) -> _File | None:
    if change.kind not in ("modified", "renamed", "copied"):
        return None
    before = lines_before(change, after)
    if before is None:
        return None
    old = tokens_of(change.previous_path or change.path, _data(before))
    new = tokens_of(change.path, _data(after))
    if old is None or new is None:
        return None
    gaps = blocks(old.texts, new.texts)
    by_gap = [(gap, _renames_in(gap, old, new)) for gap in gaps]
    names = {old.texts[number] for number in old.names}
    renames: dict[Rename, bool] = {}
    for gap, found in by_gap:
        for rename in found or ():
            renames.setdefault(rename, False)
        if found:
            for step in range(gap.before_end - gap.before_start):
                one = (old.texts[gap.before_start + step], new.texts[gap.after_start + step])
                if one in renames:
                    renames[one] |= old.names[gap.before_start + step] and new.names[gap.after_start + step]
    # One name for one name, and the new one is new.
    olds, news = Counter(one for one, _ in renames), Counter(one for _, one in renames)
    clear = {
        (was, now): is_bound
        for (was, now), is_bound in renames.items()
        if olds[was] == 1 == news[now] and now not in names
    }
    by_gap = [(gap, found if found is not None and found <= clear.keys() else None) for gap, found in by_gap]
    return _File(_runs(change), (old, new), clear, by_gap, _lost_comments(old, new, gaps))


def _renames_in(gap: Block, old: Tokens, new: Tokens) -> frozenset[Rename] | None:
    """The names that are others, where that is all that differs."""
    size = gap.before_end - gap.before_start
    if size != gap.after_end - gap.after_start:
        return None
    found: set[Rename] = set()
    for step in range(size):
        i, j = gap.before_start + step, gap.after_start + step
        was, now = old.texts[i], new.texts[j]
        if was == now:
            continue
        if i not in old.names or j not in new.names or was.split()[0] != now.split()[0]:
            return None
        found.add((was, now))
    return frozenset(found)


def _lost_comments(old: Tokens, new: Tokens, gaps: Sequence[Block]) -> tuple[list[int], list[int]]:
    """The rows of comments that have no counterpart behind the same word on the other side."""
    shifts = [0]
    starts = [0]
    for gap in gaps:
        starts.append(gap.before_end)
        shifts.append(gap.after_end - gap.before_end)
    ends = [gap.before_start for gap in gaps]

    def counterpart(word: int) -> int:
        """The index on the other side of a word; of one in a gap, the one at its place there."""
        if word < 0:
            return word
        number = bisect_left(ends, word + 1)
        if number and word < gaps[number - 1].before_end:
            gap = gaps[number - 1]
            is_pairwise = gap.before_end - gap.before_start == gap.after_end - gap.after_start
            return gap.after_start + word - gap.before_start if is_pairwise else -2
        return word + shifts[number]

    a = [(text, counterpart(word)) for text, _, word in old.comments]
    b = [(text, word) for text, _, word in new.comments]
    lost: tuple[list[int], list[int]] = ([], [])
    for gap in blocks(a, b):
        lost[0].extend(old.comments[n][1] for n in range(gap.before_start, gap.before_end))
        lost[1].extend(new.comments[n][1] for n in range(gap.after_start, gap.after_end))
    return lost


def _runs(change: FileChange) -> list[_Run]:
    found: list[_Run] = []
    for hunk in change.hunks:
        before, after = hunk.before_start - (hunk.before_count > 0), hunk.after_start - (hunk.after_count > 0)
        start: int | None = None
        first = (before, after)
        marks = line_marks(hunk.lines)
        for index, mark in enumerate((*marks, 0x20)):
            if mark != 0x20 and start is None:
                start, first = index, (before, after)
            elif mark == 0x20 and start is not None:
                found.append(_Run(hunk.id, start, index, range(first[0], before), range(first[1], after)))
                start = None
            before += mark != 0x2B
            after += mark != 0x2D
    return found


def _texts(file: _File, renamed: set[Rename]) -> Iterable[tuple[_Run, str]]:
    """The runs of a file that come to no more than a few words, with these."""
    said: list[set[Rename] | None] = [set() for _ in file.runs]
    rows = ([run.before for run in file.runs], [run.after for run in file.runs])
    ends = tuple([one.stop for one in side] for side in rows)

    def tell(side: int, row: int, what: frozenset[Rename] | None) -> None:
        below = bisect_right(ends[side], row)
        touched = [below]
        if below == len(file.runs) or row not in rows[side][below]:
            # An unchanged row: whatever it is, the runs around it are not only what they seem.
            touched = [number for number in (below - 1, below) if 0 <= number < len(file.runs)]
        for number in touched:
            known = said[number]
            said[number] = None if known is None or what is None else known | what

    for gap, found in file.by_gap:
        renames = found if found is not None and found <= renamed else None
        spans = ((gap.before_start, gap.before_end), (gap.after_start, gap.after_end))
        for side, (start, end) in enumerate(spans):
            for row in set(file.sides[side].rows[start:end]):
                tell(side, row, renames)
    for side, lost in enumerate(file.lost_comments):
        for row in lost:
            tell(side, row, None)
    for run, what in zip(file.runs, said, strict=True):
        if what is not None:
            yield run, _words(what)


def _words(renames: Iterable[Rename]) -> str:
    names = sorted({(was.split(" ", 1)[1], now.split(" ", 1)[1]) for was, now in renames})
    return " · ".join(f"renamed {was} to {now}" for was, now in names) or REFORMATTED


def _data(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
