"""Vim's normal and insert mode over a text and an offset in it.

What is there: h j k l w b e 0 ^ $ gg G, with counts; d c y with any of them, and dd cc yy D C x p P; i I a A o
O; u. A key does what Vim 9.0 does (its help pages motion.txt, change.txt and insert.txt), but for a few counts
that go beyond the text's end.
"""

from dataclasses import dataclass
from typing import Literal

from app.ui.vim.motions import (
    changed_word,
    down,
    first_word,
    last_in_line,
    line_end,
    line_start,
    motion,
    next_word,
    words,
)

Mode = Literal["normal", "insert"]

_ARROWS = {"left": "h", "right": "l", "up": "k", "down": "j", "home": "0", "end": "$", "backspace": "h"}
_OPERATORS = ("d", "c", "y")


@dataclass(frozen=True, slots=True)
class Step:
    """What a key did: text [start, end) is replaced by `new` (None leaves the text as it is), the cursor is at
    `cursor` then; `undoes` asks for the last change to be taken back."""

    cursor: int
    start: int = 0
    end: int = 0
    new: str | None = None
    undoes: bool = False


class Vim:
    """The state between keys. It begins where one can write at once."""

    def __init__(self) -> None:
        self.mode: Mode = "insert"
        self._count = ""
        self._operator = ""
        self._operator_count = ""
        self._prefix = ""
        self._column: int | None = None
        self._register: str | None = None
        self._is_linewise = False

    @property
    def pending(self) -> str:
        """The keys of a command that is not complete."""
        return f"{self._operator_count}{self._operator}{self._count}{self._prefix}"

    def reset(self) -> None:
        """Back to insert mode, with no command begun."""
        self.mode = "insert"
        self._drop()

    def _drop(self) -> None:
        self._count = self._operator = self._operator_count = self._prefix = ""

    def press(self, key: str, text: str, cursor: int) -> Step | None:
        """What `key` (a character, or Textual's name of a key) does; None in insert mode for what the field
        does by itself."""
        if self.mode == "insert":
            if key != "escape":
                return None
            self.mode, self._column = "normal", None
            return Step(max(line_start(text, cursor), cursor - 1))
        if key == "escape":
            self._drop()
            return Step(cursor)
        return self._normal(_ARROWS.get(key, key), text, min(cursor, last_in_line(text, cursor)))

    def _normal(self, key: str, text: str, at: int) -> Step:
        if key.isdigit() and (key != "0" or self._count):
            self._count += key
            return Step(at)
        if key == "g" and not self._prefix:
            self._prefix = "g"
            return Step(at)
        key, self._prefix = f"{self._prefix}{key}", ""
        if self._operator:
            return self._operate(key, text, at)
        if key in _OPERATORS:
            self._operator, self._operator_count, self._count = key, self._count, ""
            return Step(at)
        count = int(self._count) if self._count else None
        self._drop()
        gone = motion(text, at, key, count, self._column)
        if gone is not None:
            self._column = gone.column
            return Step(min(gone.to, last_in_line(text, min(gone.to, len(text)))))
        if key in ("j", "k"):
            return Step(at)  # at the first or last line: where they aim at stays
        self._column = None
        return self._command(key, text, at, count or 1)

    def _command(self, key: str, text: str, at: int, count: int) -> Step:
        start, end = line_start(text, at), line_end(text, at)
        if key == "u":
            return Step(at, undoes=True)
        if key == "x":
            return self._take("d", text, at, min(end, at + count)) if end > start else Step(at)
        if key in ("D", "C"):
            self._operator = key.lower()
            return self._operate("$", text, at)
        if key in ("p", "P"):
            return self._put(text, at, count, is_before=key == "P")
        places = {"i": at, "a": min(end, at + 1), "I": self._indent(text, start), "A": end}
        if key in places:
            self.mode = "insert"
            return Step(places[key])
        if key == "o":
            self.mode = "insert"
            return Step(end + 1, end, end, "\n")
        if key == "O":
            self.mode = "insert"
            return Step(start, start, start, "\n")
        return Step(at)

    @staticmethod
    def _indent(text: str, start: int) -> int:
        """Before the first character that is no blank, or behind a line of blanks."""
        end = line_end(text, start)
        line = text[start:end]
        return end - len(line.lstrip(" \t"))

    # Operators.

    def _operate(self, key: str, text: str, at: int) -> Step:
        operator = self._operator
        counts = [int(count) for count in (self._operator_count, self._count) if count]
        count = None if not counts else counts[0] * (counts[1] if len(counts) > 1 else 1)
        self._drop()
        if key == operator:
            below = down(text, line_start(text, at), (count or 1) - 1)
            return Step(at) if below is None else self._take_lines(operator, text, at, max(at, below))
        if key == "w":
            return self._operate_word(operator, text, at, count or 1)
        gone = motion(text, at, key, count, self._column)
        if gone is None:
            return self._take(operator, text, at, at) if key in ("h", "l") else Step(at)
        if gone.is_short:
            return Step(gone.to)
        if gone.reach == "linewise":
            return self._take_lines(operator, text, at, gone.to)
        start, end = sorted((at, gone.to))
        if gone.reach == "inclusive":
            end = min(end + 1, line_end(text, end))
        return self._take_span(operator, text, start, end, may_stop=gone.reach == "exclusive")

    def _operate_word(self, operator: str, text: str, at: int, count: int) -> Step:
        if operator == "c" and at < len(text) and text[at] not in " \t\n":
            return self._take("c", text, at, changed_word(text, at, count))
        end = next_word(text, at, count, stays_in_line=True)
        last = max((start for start, _ in words(text) if at < start < end), default=at)
        if last < line_end(text, last) < end:
            end = line_end(text, last)  # nor does the operator go on into the line behind the last word
        return self._take_span(operator, text, at, end, may_stop=True)

    def _take_span(self, operator: str, text: str, start: int, end: int, *, may_stop: bool) -> Step:
        """Take characters, by Vim's exceptions (its help on `exclusive` and on `d`): an exclusive motion that
        ends in a first column stops at the end of the line before; and where but blanks would be left of
        several lines, whole lines are taken."""
        is_in_indent = start <= self._indent(text, line_start(text, start))
        if may_stop and end > line_end(text, start) and end == line_start(text, end):
            end -= 1
            if is_in_indent:
                return self._take_lines(operator, text, start, end)
        spans_lines = end > line_end(text, start)
        if (
            operator == "d"
            and spans_lines
            and is_in_indent
            and not text[end : line_end(text, end)].strip(" \t")
        ):
            return self._take_lines(operator, text, start, end)
        return self._take(operator, text, start, end)

    def _take(self, operator: str, text: str, start: int, end: int) -> Step:
        self._column = None
        if start == end:
            if operator == "c":
                self.mode = "insert"
            elif operator == "y":
                self._register, self._is_linewise = "", False
            return Step(start)
        self._register, self._is_linewise = text[start:end], False
        if operator == "y":
            return Step(start)
        if operator == "c":
            self.mode = "insert"
            return Step(start, start, end, "")
        rest = text[:start] + text[end:]
        return Step(min(start, last_in_line(rest, min(start, len(rest)))), start, end, "")

    def _take_lines(self, operator: str, text: str, one: int, other: int) -> Step:
        """All lines from one place to another."""
        if operator == "d" and not text:
            return Step(one)
        first, last = sorted((one, other))
        start, end = line_start(text, first), line_end(text, last)
        self._register, self._is_linewise = text[start:end], True
        if operator == "y":
            return Step(first)
        self._column = None
        if operator == "c":
            self.mode = "insert"
            return Step(start, start, end, "")
        if end < len(text):
            end += 1
        elif start:
            start -= 1
        rest = text[:start] + text[end:]
        place = min(start + (1 if end == len(text) and start and start < len(rest) else 0), len(rest))
        return Step(first_word(rest, place), start, end, "")

    def _put(self, text: str, at: int, count: int, *, is_before: bool) -> Step:
        if self._register is None:
            return Step(at)
        start, end = line_start(text, at), line_end(text, at)
        if self._is_linewise:
            lines = "\n".join([self._register] * count)
            if is_before:
                place, new, first = start, f"{lines}\n", start
            else:
                place, new, first = end, f"\n{lines}", end + 1
            after = text[:place] + new + text[place:]
            return Step(first_word(after, first), place, place, new)
        new = self._register * count
        if not new:
            return Step(at)
        place = at if is_before or start == end else at + 1
        cursor = place if "\n" in new else place + len(new) - 1
        return Step(cursor, place, place, new)
