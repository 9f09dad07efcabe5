"""The colours of one hunk: the syntax of both sides, and the words that changed."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property

from pygments.lexer import Lexer

from app.review.diff.hunk_text import line_marks
from app.review.diff.unseen import lines_that_look_the_same
from app.review.diff.words import Span, pair, word_marks
from app.review.model import Hunk
from app.ui.diff.painter.file_colours import LONG_LINE, Sides
from app.ui.drawing.syntax import LazySyntax, Spans
from app.ui.drawing.text import columns, visible

_MOST_LOOKED_AT = 1_000  # lines of a hunk, whether they look as before
_CHANGED = re.compile(rb"[-+]+")


class HunkColours:
    """The colours of a hunk's lines: of its syntax those of `sides`; without them those that `lexer` finds in
    the hunk alone, for a line when it is first drawn."""

    def __init__(self, hunk: Hunk, lexer: Lexer | None = None, sides: Sides | None = None) -> None:
        self._lines = hunk.lines
        self._sides = sides
        self._marks = marks = line_marks(hunk.lines)
        # The indices of the lines of each side.
        self._before = [index for index, mark in enumerate(marks) if mark != 0x2B]
        self._after = [index for index, mark in enumerate(marks) if mark != 0x2D]
        self._before_syntax = self._syntax_of(lexer, self._before)
        self._after_syntax = self._syntax_of(lexer, self._after)
        self._blocks = [found.span() for found in _CHANGED.finditer(marks)]
        self._starts = [start for start, _ in self._blocks]
        self._partners: dict[int, dict[int, tuple[int, int]]] = {}  # by block: (removed, added) by either
        self._words: dict[int, Sequence[Span]] = {}

    def _syntax_of(self, lexer: Lexer | None, side: Sequence[int]) -> LazySyntax:
        def line(number: int) -> str:
            text = self._lines[side[number]].text
            return visible(text) if len(text) <= LONG_LINE else ""

        return LazySyntax(lexer, len(side), line)

    def syntax(self, index: int) -> Spans:
        """The coloured spans of line `index`, in its visible text."""
        is_removed = self._marks[index : index + 1] == b"-"
        number = index - self._marks.count(b"+" if is_removed else b"-", 0, index)
        if self._sides is not None:
            side = self._sides[0 if is_removed else 1]
            return side[number] if number < len(side) else ()
        return (self._before_syntax if is_removed else self._after_syntax).spans(number)

    def _partner(self, index: int) -> tuple[int, int] | None:
        """The removed and the added line of which line `index` is one."""
        block = bisect_right(self._starts, index) - 1
        if block < 0 or index >= self._blocks[block][1]:
            return None
        if block not in self._partners:
            numbers = range(*self._blocks[block])
            removed = [n for n in numbers if self._marks[n] == 0x2D]
            added = [n for n in numbers if self._marks[n] == 0x2B]
            found: dict[int, tuple[int, int]] = {}
            for left, right in pair(
                [self._lines[n].text for n in removed], [self._lines[n].text for n in added]
            ):
                found[removed[left]] = found[added[right]] = (removed[left], added[right])
            self._partners[block] = found
        return self._partners[block].get(index)

    def words(self, index: int) -> Sequence[Span]:
        """The changed spans of line `index`, in its visible text; none where it has no counterpart."""
        together = self._partner(index)
        if together is None:
            return ()
        if index not in self._words:
            old, new = (self._lines[number].text for number in together)
            for number, marked in zip(together, word_marks(old, new), strict=True):
                self._words[number] = columns(self._lines[number].text, marked)
        return self._words[index]

    @cached_property
    def unseen(self) -> Sequence[tuple[int, str]]:
        """The changed lines that look as before, by their numbers, each with why it is another; of a large hunk
        the first ones."""
        found: list[tuple[int, str]] = []
        for start, end in self._blocks:
            if start >= _MOST_LOOKED_AT:
                break
            block = self._lines[start : min(end, start + _MOST_LOOKED_AT)]
            lines = [line for line in block if len(line.text) <= LONG_LINE]
            found += [(line.after_number or 0, why) for line, why in lines_that_look_the_same(lines)]
        return found

    def is_space_only(self, index: int) -> bool:
        """Whether line `index` differs from its counterpart by white space alone."""
        together = self._partner(index)
        if together is None:
            return False
        old, new = ("".join(self._lines[number].text.split()) for number in together)
        return old == new
