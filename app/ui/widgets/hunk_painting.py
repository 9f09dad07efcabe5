"""What drawing the lines of one hunk needs: syntax colour of either side, and which words changed."""

from collections.abc import Sequence

from app.review.model import Hunk
from app.review.words import Span, change_blocks, pair, word_marks
from app.ui.syntax import LazySyntax, Spans, lexer_for_path
from app.ui.text import columns, visible

LONG_LINE = 2_000  # characters; beyond, a line has neither colour nor word marks


class HunkPainting:
    """Made when a hunk's first line comes into view; each line's share only when that line does."""

    def __init__(self, hunk: Hunk, path: str) -> None:
        self._lines = hunk.lines
        before: list[str] = []
        after: list[str] = []
        self._position: list[int] = []  # of each line in the text of its own side
        for line in hunk.lines:
            text = visible(line.text) if len(line.text) <= LONG_LINE else ""
            side = before if line.kind == "removed" else after
            self._position.append(len(side))
            side.append(text)
            if line.kind == "context":
                before.append(text)
        self._before = LazySyntax(lexer_for_path(path), len(before), before.__getitem__)
        self._after = LazySyntax(lexer_for_path(path), len(after), after.__getitem__)
        self._partner: dict[int, tuple[int, int]] = {}  # (removed, added) by the index of either
        for removed, added in change_blocks(hunk.lines):
            old, new = [hunk.lines[n].text for n in removed], [hunk.lines[n].text for n in added]
            for left, right in pair(old, new):
                together = (removed[left], added[right])
                self._partner[removed[left]] = self._partner[added[right]] = together
        self._words: dict[int, Sequence[Span]] = {}

    def syntax(self, index: int) -> Spans:
        """The coloured spans of line `index`, in its visible text."""
        side = self._before if self._lines[index].kind == "removed" else self._after
        return side.spans(self._position[index])

    def words(self, index: int) -> Sequence[Span]:
        """The changed spans of line `index`, in its visible text; none where it has no counterpart."""
        together = self._partner.get(index)
        if together is None:
            return ()
        if index not in self._words:
            old, new = (self._lines[number].text for number in together)
            for number, marked in zip(together, word_marks(old, new), strict=True):
                self._words[number] = columns(self._lines[number].text, marked)
        return self._words[index]
