"""Marks of what was seen outlive rebases, amendments and squashes, and never stay on what has changed.

Files are drawn as lines with an identity of their own, so that the test knows which change is the same one
whatever its text says; the marks know only the diffs.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.review.desks.desk import HunkPart
from app.review.desks.source_desk import SourceDesk
from app.review.desks.sources import Source, Sources
from app.review.diff.compare import file_change
from app.review.diff.parse import parse_diff
from app.review.model import DiffLine, FileChange, FileImage
from app.review.review import Review
from app.review.seen.marks import SeenMarks
from app.review.seen.seeing import Seeing
from tests.support.review.review_cases import git

SILENT = ("", "}", "    ]", "")
ADDED = ("x = 1", "return x", "", "}")


@dataclass(frozen=True)
class Line:
    """A line; `number` is its identity."""

    number: int
    text: str


class Series:
    """A file as upstream has it, and as a series of commits makes it."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._count = 0
        self.upstream = [self._line(upstream=True) for _ in range(chance.randrange(12, 40))]
        self.after = list(self.upstream)
        self.amend()

    def _line(self, *, upstream: bool) -> Line:
        self._count += 1
        silent = self._chance.random() < 0.35
        text = (
            self._chance.choice(SILENT if silent else ADDED)
            if not upstream or silent
            else f"line {self._count}"
        )
        return Line(self._count, text)

    def amend(self) -> None:
        """Another state of the series: commits added, changed, dropped or put together."""
        for _ in range(self._chance.randrange(1, 4)):
            at = self._chance.randrange(len(self.after) + 1)
            gone = self._chance.randrange(3)
            self.after[at : at + gone] = [self._line(upstream=False) for _ in range(self._chance.randrange(3))]
        if self._chance.random() < 0.3:
            self._drop_a_run()

    def _drop_a_run(self) -> None:
        numbers = {line.number for line in self.upstream}
        own = [place for place, line in enumerate(self.after) if line.number not in numbers]
        if own:
            del self.after[self._chance.choice(own)]

    def rebase(self) -> None:
        """Upstream changes lines that the series neither changes nor has next to what it changes."""
        before = {line.number for line in self.upstream}
        after = {line.number for line in self.after}
        safe = [
            number
            for place, line in enumerate(self.upstream)
            if (number := line.number) in after and self._is_apart(place, before, after)
        ]
        for number in self._chance.sample(safe, min(len(safe), 3)):
            new = [self._line(upstream=True) for _ in range(self._chance.randrange(3))]
            for side in (self.upstream, self.after):
                place = next(at for at, line in enumerate(side) if line.number == number)
                side[place : place + 1] = new

    def _is_apart(self, place: int, before: set[int], after: set[int]) -> bool:
        """Whether a line and its neighbours are next to each other on both sides. What is taken or put in at
        their outer ends does not touch the line."""
        number = self.upstream[place].number
        here = next(at for at, line in enumerate(self.after) if line.number == number)
        for step in (-1, 1):
            for side, at, others in ((self.upstream, place, after), (self.after, here, before)):
                if 0 <= at + step < len(side) and side[at + step].number not in others:
                    return False
        return True

    def change(self) -> FileChange | None:
        sides = [
            FileImage("".join(f"{line.text}\n" for line in side).encode())
            for side in (self.upstream, self.after)
        ]
        return file_change("a.txt", *sides)

    def runs(self, change: FileChange) -> Iterator[tuple[str, int, tuple[object, ...], tuple[object, ...]]]:
        """For each run of changed lines its hunk, its first line there, who its lines are and who is next to
        it, and who are the nearest lines around it that say something."""
        for hunk in change.hunks:
            lines = list(hunk.lines)
            at = 0
            while at < len(lines):
                end = at
                while end < len(lines) and lines[end].kind != "context":
                    end += 1
                if end > at:
                    inner = tuple(self._who(line) for line in lines[at:end])
                    sides = (lines[:at][::-1], lines[end:])
                    near = tuple(self._who(side[0]) if side else None for side in sides)
                    telling = tuple(self._telling(side) for side in sides)
                    yield hunk.id, at, (inner, near), telling
                at = max(end, at + 1)

    def _telling(self, side: list[DiffLine]) -> tuple[object, ...]:
        """The nearest unchanged line of the hunk that says something, or the file's end; empty without one."""
        kept = [line for line in side if line.kind == "context"]
        found = next((self._who(line) for line in kept if any(map(str.isalnum, line.text))), ())
        trail = next((n for n, line in enumerate(side[::-1]) if line.kind != "context"), len(side))
        return found or (("end",) if trail < 3 else ())

    def _who(self, line: DiffLine) -> tuple[object, ...]:
        found = []
        for side, number in ((self.upstream, line.before_number), (self.after, line.after_number)):
            found.append(side[number - 1].number if number else None)
        return tuple(found)


def check_series(seed: int, marks: SeenMarks) -> tuple[int, int]:
    """Goes through a random series; returns how often a run stayed seen, and how often one was open."""
    chance = random.Random(seed)
    series, seeing = Series(chance), Seeing(marks)
    # What was marked stays so wherever it is next: of each run, what it was and where, each time it was marked.
    known: dict[tuple[object, ...], list[tuple[str, tuple[object, ...]]]] = {}
    stayed = opened = 0
    for _ in range(6):
        change = series.change()
        if change is None:
            series.amend()
            continue
        changes = (change,)
        of = seeing.of(changes)
        runs = list(series.runs(change))
        texts = [text_of_run(change, hunk, start) for hunk, start, _, _ in runs]
        for (hunk, start, who, telling), text in zip(runs, texts, strict=True):
            is_seen = hunk in of and any(first == start for first, _ in of[hunk].runs)
            if is_seen:
                stayed += 1
                places = [place for marked in known.values() for said, place in marked if said == text]
                assert any(are_near(telling, place) or place == ((), ()) for place in places), (
                    "what has changed is shown as seen"
                )
            elif who in known and texts.count(text) == 1:
                # Open again only where nothing is left to know its place by.
                assert not any(are_near(place, telling) for _, place in known[who]), (
                    "what did not change is open again"
                )
            opened += not is_seen
        for (hunk, start, who, telling), text in zip(runs, texts, strict=True):
            if chance.random() < 0.6:
                one = next(found for found in change.hunks if found.id == hunk)
                keys = seeing.keys(changes, [HunkPart(change, one, frozenset({start}))], is_seen=True)
                seeing.mark(keys, is_seen=True)
                known.setdefault(who, []).append((text, telling))
        chance.choice([series.amend, series.rebase, series.rebase])()
    return stayed, opened


def are_near(place: Any, other: Any) -> bool:
    """Whether two places have a line that says something, or an end of the file, in common on one side."""
    pairs = zip(place, other, strict=True)
    return any(x is not None and x == y for a, b in pairs for x, y in zip(list(a), list(b), strict=False))


def text_of_run(change: FileChange, hunk: str, start: int) -> str:
    """A run of changed lines and the lines next to it, as they are read."""
    lines = next(one.lines for one in change.hunks if one.id == hunk)
    end = next((n for n in range(start, len(lines)) if lines[n].kind == "context"), len(lines))
    return "\n".join(f"{line.kind} {line.text}" for line in lines[max(0, start - 1) : end + 1])


class Kept:
    """Marks in memory."""

    def __init__(self) -> None:
        self._keys: set[str] = set()

    def all(self) -> set[str]:
        return self._keys

    def change(self, keys: set[str], *, is_seen: bool) -> None:
        self._keys = self._keys | keys if is_seen else self._keys - keys


def check_all(seeds: range) -> None:
    stayed = opened = 0
    for seed in seeds:
        more_stayed, more_opened = check_series(seed, Kept())
        stayed, opened = stayed + more_stayed, opened + more_opened
    assert stayed > 5 * len(seeds) and opened > 3 * len(seeds)


def test_what_did_not_change_stays_seen_and_what_did_is_open() -> None:
    check_all(range(250))


@pytest.mark.slow
def test_thousands_of_series_stay_seen_or_open() -> None:
    start = random.randrange(1 << 30)
    check_all(range(start, start + 20_000))


def lines(*texts: str) -> str:
    return "".join(f"{text}\n" for text in texts)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "--quiet", "-b", "main")
    (root / "a.py").write_text(lines(*(f"line {number}" for number in range(30))))
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "base")
    return root


def commit(root: Path, message: str, **places: str) -> None:
    text = (root / "a.py").read_text()
    for line, new in places.items():
        text = text.replace(f"line {line[1:]}\n", new)
    (root / "a.py").write_text(text)
    git(root, "commit", "--quiet", "-am", message)


def desk_of(root: Path, what: str) -> SourceDesk:
    log = Review(root)
    desk = SourceDesk(Source("range" if ".." in what else "commit", what, what), Sources(root, log), log)
    desk.changes()
    return desk


def decisions(root: Path, what: str) -> list[str]:
    return [hunk.decision for change in desk_of(root, what).changes() for hunk in change.hunks]


def test_marks_outlive_a_rebase_and_a_squash_and_one_more_commit_by_git(root: Path) -> None:
    git(root, "checkout", "--quiet", "-b", "topic")
    commit(root, "one", l3="first\n")
    commit(root, "two", l20="second\nthird\n")
    desk = desk_of(root, "main..topic")
    change = desk.changes()[0]
    desk.see([HunkPart(change, hunk) for hunk in change.hunks], is_seen=True)
    assert decisions(root, "main..topic") == ["kept", "kept"]
    assert decisions(root, "topic") == decisions(root, "topic^") == ["kept"]
    git(root, "checkout", "--quiet", "main")
    commit(root, "upstream", l1="other\nlines\n", l12="", l22="changed\n")
    git(root, "rebase", "--quiet", "main", "topic")
    assert decisions(root, "main..topic") == ["kept", "kept"]
    git(root, "reset", "--quiet", "--soft", "main")
    git(root, "commit", "--quiet", "-m", "squashed")
    assert decisions(root, "topic") == ["kept", "kept"]
    commit(root, "more", l11="fourth\n")
    assert decisions(root, "main..topic") == ["kept", "pending", "kept"]
    text = (root / "a.py").read_text().replace("second", "Second")
    (root / "a.py").write_text(text)
    git(root, "commit", "--quiet", "-a", "--amend", "-m", "amended")
    assert decisions(root, "main..topic") == ["kept", "pending", "pending"]


def test_a_mark_is_taken_back_and_made_again(root: Path) -> None:
    commit(root, "one", l3="first\n", l7="second\n")
    desk = desk_of(root, "HEAD")
    (hunk,) = desk.changes()[0].hunks
    desk.take([HunkPart(desk.changes()[0], hunk, frozenset({4}))])
    seen = desk.seen()[hunk.id]
    assert (seen.total, len(seen.runs), decisions(root, "HEAD")) == (2, 1, ["pending"])
    desk.take([HunkPart(desk.changes()[0], hunk)])
    assert decisions(root, "HEAD") == ["kept"]
    desk.undo()
    assert desk.seen()[hunk.id] == seen
    desk.redo()
    desk.see([HunkPart(desk.changes()[0], hunk)], is_seen=False)
    assert decisions(root, "HEAD") == ["pending"]


def test_of_changes_that_are_the_same_all_are_open_when_there_are_more(tmp_path: Path) -> None:
    def change(count: int) -> FileChange:
        before, after = lines(*(["a", "b", "c", "d"] * 4)), lines("a", "b", "c", "d")
        marked = lines("a", "b", "new", "c", "d")
        found = file_change(
            "a", FileImage(before.encode()), FileImage((marked * count + after * (4 - count)).encode())
        )
        assert found is not None
        return found

    seeing = Seeing(SeenMarks(tmp_path / "seen"))

    def shown(count: int) -> int:
        changes = (change(count),)
        return sum(len(seen.runs) for seen in seeing.of(changes).values())

    two = (change(2),)
    parts = [HunkPart(two[0], hunk) for hunk in two[0].hunks]
    seeing.mark(seeing.keys(two, parts, is_seen=True), is_seen=True)
    assert (shown(1), shown(2), shown(3)) == (1, 2, 0)


def test_a_binary_file_is_another_one_with_another_content(tmp_path: Path) -> None:
    def changes(blob: str) -> tuple[FileChange, ...]:
        head = f"diff --git a/x.png b/x.png\nindex {'1' * 40}..{blob * 40} 100644\n"
        return parse_diff(f"{head}Binary files a/x.png and b/x.png differ\n".encode())

    seeing = Seeing(SeenMarks(tmp_path / "seen"))
    first = changes("2")
    keys = seeing.keys(first, [HunkPart(first[0], first[0].hunks[0])], is_seen=True)
    seeing.mark(keys, is_seen=True)
    assert [bool(seeing.of(changes(blob))) for blob in "23"] == [True, False]
