"""The identity of a change by content: what a run of changed lines removes and adds, in which file, and between
which lines.

The two lines next to a run are part of its key, and as a rule only they: git's merge takes changes that touch
for a conflict, so a rebase that needs no hand can change any line but these, and what it did not change keeps
its key. Where both say nothing (blank lines, brackets), the same change could be anywhere: then the nearest
unchanged line of the hunk that says something counts too, on one side or the other, so that a rebase may still
change either of them; with no such line, the place is known by its number.

Runs of one file that are the same in all of that are told apart by their number and by how many there are: if
there come to be more of them, all are open, as nobody can say which is the new one.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from app.review.diff.compare import CONTEXT_LINES
from app.review.diff.hunk_text import line_marks, line_texts
from app.review.model import FileChange, Hunk

_RUN = re.compile(rb"[-+]+")
_TELLS = re.compile(rb"[0-9A-Za-z_\x80-\xff]{2}")
_MOST_TWINS = 8  # runs that are the same; of more, each number of them would be a key of its own
_FILE_END = b"\0end"


@dataclass(frozen=True, slots=True)
class Key:
    """One way in which a run is known. `twins` is the same for all runs that are the same; `others` are the
    texts that the key has when some of these are gone."""

    text: str
    twins: bytes
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyedRun:
    """Changed lines [start, end) of a hunk, or a change without lines (both 0). A mark on any of its keys is on
    the run."""

    hunk: str
    start: int
    end: int
    keys: tuple[Key, ...]

    def is_in(self, marks: Collection[str]) -> bool:
        """Whether the run is marked."""
        return any(key.text in marks for key in self.keys)


def keyed_runs(change: FileChange) -> list[KeyedRun]:
    """The runs of a file's change, in order."""
    found = [run for hunk in change.hunks for run in _runs(change, hunk)]
    count = Counter(content for *_, contents in found for content in contents)
    number: Counter[bytes] = Counter()
    result: list[KeyedRun] = []
    for hunk, start, end, contents in found:
        keys = []
        for content in contents:
            this, size = number[content], count[content]
            number[content] += 1
            fewer = range(this + 1, size) if size <= _MOST_TWINS else range(0)
            others = tuple(_key(content, this, one) for one in fewer)
            keys.append(Key(_key(content, this, size), content, others))
        result.append(KeyedRun(hunk.id, start, end, tuple(keys)))
    return result


def _key(content: bytes, number: int, count: int) -> str:
    return sha256(b"%b %d %d" % (content, number, count)).hexdigest()[:32]


def _runs(change: FileChange, hunk: Hunk) -> Iterator[tuple[Hunk, int, int, tuple[bytes, ...]]]:
    """The runs of a hunk, each with digests of its content and its place."""
    path = change.path.encode("utf-8", "surrogateescape")
    if not hunk.lines:
        facts = (change.kind, change.previous_path or "", change.before_mode, change.after_mode)
        told = repr(facts).encode("utf-8", "surrogateescape")
        yield hunk, 0, 0, (_digest(path, told, change.blobs, change.binary_patch),)
        return
    marks, texts = line_marks(hunk.lines), line_texts(hunk.lines)
    # A diff without context says nothing about the place but the number of the line.
    has_no_context = b" " not in marks and change.kind not in ("created", "deleted")
    place = b"%d" % hunk.before_start if has_no_context else b""
    ends = _without_newline(hunk)
    lead, trail = len(marks) - len(marks.lstrip(b" ")), len(marks) - len(marks.rstrip(b" "))
    for run in _RUN.finditer(marks):
        start, end = run.span()
        above, below = range(start - 1, -1, -1), range(end, len(marks))
        near = [texts[side[0]] if side and marks[side[0]] == 0x20 else _FILE_END for side in (above, below)]
        parts = [marks[n : n + 1] + texts[n] + (_FILE_END if n in ends else b"") for n in range(start, end)]
        parts += [b"<" + near[0], b">" + near[1]]
        if any(_TELLS.search(line) for line in near):
            yield hunk, start, end, (_digest(path, place, *parts),)
            continue
        # A hunk of less context than usual ends with its file.
        farther = [
            mark + line
            for mark, side, is_end in (
                (b"<", above, lead < CONTEXT_LINES),
                (b">", below, trail < CONTEXT_LINES),
            )
            if (line := _telling(marks, texts, side) or (_FILE_END if is_end else b""))
        ]
        # Where nothing around says anything, a place is its number.
        farther = farther or [b"%d" % (hunk.before_start + start - marks.count(b"+", 0, start))]
        yield hunk, start, end, tuple(_digest(path, place, *parts, one) for one in farther)


def _telling(marks: bytes, texts: Sequence[bytes], side: range) -> bytes:
    """The nearest unchanged line that says something; empty if there is none in the hunk."""
    return next((texts[n] for n in side if marks[n] == 0x20 and _TELLS.search(texts[n])), b"")


def _without_newline(hunk: Hunk) -> set[int]:
    """The last line of either side, where the file ends without a newline."""
    marks = line_marks(hunk.lines)
    last = (len(marks) - 1, marks.rfind(b"-"), marks.rfind(b"+"))
    return {number for number in last if number >= 0 and not hunk.lines[number].has_newline}


def _digest(*parts: bytes) -> bytes:
    made = sha256()
    for part in parts:
        made.update(b"%d:" % len(part))
        made.update(part)
    return made.digest()


def keys_to_mark(
    runs: Sequence[KeyedRun], wanted: Mapping[str, Sequence[int] | None], marks: Collection[str]
) -> set[str]:
    """The keys of a file's runs that hold `wanted` lines, by hunk id (None: any line of it); with those for
    fewer twins, where all of them are marked by then."""
    chosen = [run for run in runs if run.hunk in wanted and _holds(run, wanted[run.hunk])]
    texts = {key.text for run in chosen for key in run.keys}
    still_open = {
        key.twins for run in runs for key in run.keys if key.text not in texts and key.text not in marks
    }
    others = (key for run in chosen for key in run.keys if key.twins not in still_open)
    return texts | {text for key in others for text in key.others}


def _holds(run: KeyedRun, lines: Sequence[int] | None) -> bool:
    return lines is None or any(run.start <= line < run.end for line in lines)
