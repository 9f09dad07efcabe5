"""Where a reply's text is quoted: fenced code blocks and code spans of Markdown.

Decided from the text so far, for a grammar cannot look ahead. Unlike CommonMark's, a code span ends with its
line: what would be one over several lines is a stray backtick more often.
"""

import re

_FENCE = re.compile(r"[ \t>]*(`{3,}(?=[^`]*$)|~{3,})(.*)", re.DOTALL)
_RUN = re.compile("`+")


class Prose:
    """The visible text of a reply so far: the line that is being written, and the fence that is open."""

    __slots__ = ("_fence", "line")

    def __init__(self, line: str = "", fence: str = "") -> None:
        self.line = line
        self._fence = fence

    def copy(self) -> "Prose":
        """Independent of this one from now on."""
        return Prose(self.line, self._fence)

    def add(self, text: str) -> None:
        """Takes more text in."""
        first, *lines = text.split("\n")
        self.line += first
        for line in lines:
            self._end_line()
            self.line = line

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
        opened = 0
        for run in _RUN.finditer(self.line):
            length = len(run[0])
            if not opened:
                opened = length
            elif length == opened:
                opened = 0
        return opened

    def _end_line(self) -> None:
        found = _FENCE.fullmatch(self.line)
        if found is None:
            return
        marker, rest = found[1], found[2]
        if not self._fence:
            self._fence = marker
        elif marker.startswith(self._fence) and not rest.strip():
            self._fence = ""


def closes_span(text: str, opened: int) -> bool:
    """Whether a code span that so many backticks opened is closed in this text."""
    return any(len(run[0]) == opened for run in _RUN.finditer(text))
