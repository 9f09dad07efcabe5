"""A hunk's lines as the text of the diff, read line by line when they are asked for.

A diff of hundreds of thousands of lines is indexed by its headers; of its lines only those become objects that
are shown or staged.
"""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import overload

from app.review.model import DiffLine, LineKind

_KIND_OF_MARK: dict[str, LineKind] = {" ": "context", "-": "removed", "+": "added"}
_MARK_OF_KIND: dict[LineKind, bytes] = {"context": b" ", "removed": b"-", "added": b"+"}
_NO_NEWLINE = b"\n\\"


class HunkText(Sequence[DiffLine]):
    """The lines of `body`, which is a hunk's text behind its header, each line with a mark; see `fits`."""

    __slots__ = (
        "_after_start",
        "_before_start",
        "_body",
        "_count",
        "_longest",
        "_marks",
        "_no_newline",
        "_raw",
    )

    def __init__(self, body: bytes, before_start: int, after_start: int) -> None:
        self._body = body
        self._count = body.count(b"\n") - (body.count(_NO_NEWLINE) if _NO_NEWLINE in body else 0)
        self._before_start = before_start
        self._after_start = after_start
        self._marks: bytes | None = None
        self._longest = -1
        self._raw: list[bytes] = []
        self._no_newline: frozenset[int] = frozenset()

    def fits(self, before_count: int, after_count: int) -> bool:
        """Whether there are as many lines of each side as a header with these counts promises."""
        body, lines = self._body, self._count
        return (
            lines - body.count(b"\n+") - body.startswith(b"+") == before_count
            and lines - body.count(b"\n-") - body.startswith(b"-") == after_count
        )

    @property
    def body(self) -> bytes:
        """The text."""
        return self._body

    @property
    def marks(self) -> bytes:
        """The mark of each line, as one string."""
        if self._marks is None:
            # A layout asks this of every hunk, and the lines of few: they are not kept for it.
            lines = self._body.split(b"\n")
            lines.pop()
            self._marks = bytes(map(itemgetter(0), lines)).replace(b"\\", b"")
        return self._marks

    @property
    def longest(self) -> int:
        """Bytes of the longest line; a tab counts as eight."""
        if self._longest < 0:
            tabs = b"\t" in self._body
            lines = (line.expandtabs(8) for line in self._lines()) if tabs else self._lines()
            self._longest = max(map(len, lines)) - 1
        return self._longest

    def may_hold(self, text: bytes, fold: bool) -> bool:
        """Whether some line could hold `text`; with `fold` whatever its capitals."""
        return text in (self._body.lower() if fold else self._body)

    def _lines(self) -> list[bytes]:
        if not self._raw:
            lines = self._body.split(b"\n")
            lines.pop()
            if _NO_NEWLINE in self._body:
                kept: list[bytes] = []
                last: set[int] = set()
                for line in lines:
                    if line[:1] == b"\\":
                        last.add(len(kept) - 1)
                    else:
                        kept.append(line)
                lines, self._no_newline = kept, frozenset(last)
            self._raw = lines
        return self._raw

    @property
    def texts(self) -> list[bytes]:
        """The text of each line as bytes, without mark and line ending."""
        return [line[1:] for line in self._lines()]

    def _line(self, index: int, before: int, after: int) -> DiffLine:
        raw = self._lines()[index].decode("utf-8", "surrogateescape")
        kind = _KIND_OF_MARK[raw[0]]
        return DiffLine(
            kind,
            raw[1:],
            before if kind != "added" else None,
            after if kind != "removed" else None,
            index not in self._no_newline,
        )

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> DiffLine: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[DiffLine, ...]: ...
    def __getitem__(self, index: int | slice) -> DiffLine | tuple[DiffLine, ...]:
        marks = self.marks
        if isinstance(index, slice):
            return tuple(self[number] for number in range(*index.indices(len(marks))))
        if index < 0:
            index += len(marks)
        if not 0 <= index < len(marks):
            raise IndexError(index)
        before = self._before_start + index - marks.count(b"+", 0, index)
        after = self._after_start + index - marks.count(b"-", 0, index)
        return self._line(index, before, after)

    def __iter__(self) -> Iterator[DiffLine]:
        before, after = self._before_start, self._after_start
        for index, mark in enumerate(self.marks):
            yield self._line(index, before, after)
            before += mark != 0x2B
            after += mark != 0x2D

    def __eq__(self, other: object) -> bool:
        if isinstance(other, HunkText):
            places = (self._before_start, self._after_start)
            return self._body == other._body and places == (other._before_start, other._after_start)
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(self._body)


def line_marks(lines: Sequence[DiffLine]) -> bytes:
    """The mark of each line, " ", "-" or "+", as one string."""
    if isinstance(lines, HunkText):
        return lines.marks
    return b"".join(_MARK_OF_KIND[line.kind] for line in lines)


def line_texts(lines: Sequence[DiffLine]) -> list[bytes]:
    """The text of each line as bytes, without its line ending."""
    if isinstance(lines, HunkText):
        return lines.texts
    return [line.text.encode("utf-8", "surrogateescape") for line in lines]
