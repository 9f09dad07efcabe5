"""Where a reply's text is quoted: fenced code blocks and code spans of Markdown.

Decided from the text so far, for a grammar cannot look ahead. Unlike CommonMark's, a code span ends with its
line: what would be one over several lines is a stray backtick more often.
"""

import re

_FENCE = re.compile(r"[ \t>]*(`{3,}(?=[^`]*$)|~{3,})(.*)", re.DOTALL)
_RUN = re.compile("`+")


class Prose:
    """The visible text of a reply so far: the line that is being written, and the fence that is open."""

    __slots__ = ("_fence", "_opened", "_run", "line")

    def __init__(self) -> None:
        self.line = ""
        self._fence = ""
        # Backticks of the span that is open in the line, and those that the line ends with until now.
        self._opened = 0
        self._run = 0

    def copy(self) -> "Prose":
        """Independent of this one from now on."""
        other = Prose()
        other.line, other._fence = self.line, self._fence
        other._opened, other._run = self._opened, self._run
        return other

    def add(self, text: str) -> None:
        """Takes more text in."""
        first, *lines = text.split("\n")
        self._add_to_line(first)
        for line in lines:
            self._end_line()
            self.line, self._opened, self._run = "", 0, 0
            self._add_to_line(line)

    def _add_to_line(self, text: str) -> None:
        self.line += text
        if not text:
            return
        start = len(text) - len(text.lstrip("`")) if self._run else 0
        self._run += start
        if start == len(text):
            return
        self._opened, self._run = _after(self._opened, self._run), 0
        for run in _RUN.finditer(text, start):
            if run.end() == len(text):
                self._run = len(run[0])
            else:
                self._opened = _after(self._opened, len(run[0]))

    @property
    def is_fenced(self) -> bool:
        """Whether a fenced block is open."""
        return bool(self._fence)

    @property
    def begins_line(self) -> bool:
        """Whether the line has nothing but white space yet."""
        return not self.line.strip()

    @property
    def span(self) -> int:
        """How many backticks opened the span that is open in this line, if it is one; 0 for none."""
        return _after(self._opened, self._run)

    def _end_line(self) -> None:
        found = _FENCE.fullmatch(self.line)
        if found is None:
            return
        marker, rest = found[1], found[2]
        if not self._fence:
            self._fence = marker
        elif marker.startswith(self._fence) and not rest.strip():
            self._fence = ""


def _after(opened: int, run: int) -> int:
    """The backticks of the open span after a run of so many more."""
    if not opened or not run:
        return opened or run
    return 0 if run == opened else opened


def closes_span(text: str, opened: int) -> bool:
    """Whether a code span that so many backticks opened is closed in this text."""
    return any(len(run[0]) == opened for run in _RUN.finditer(text))
