"""The syntax colours of the hunks and files in view.

Where a lexer must be loaded or a file read for them, the text is drawn without colours first; the lexer and the
file are asked for, and the next drawing uses them.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from pygments.lexer import Lexer

from app.review.model import FileChange
from app.ui.diff.model.diff_model import DiffModel
from app.ui.diff.model.rows import Row
from app.ui.diff.painter.file_colours import LONG_LINE, Sides
from app.ui.diff.painter.hunk_colours import HunkColours
from app.ui.drawing.syntax import LazySyntax, Spans, is_prepared, lexer_for_path
from app.ui.drawing.text import visible

_FARTHEST = 50_000  # lines; for a hunk further down, its file is not read for the colours alone
_SHORT = 200  # lines of a hunk at the top of a file that are coloured at once, without the rest of the file
# Starts or ends a string or comment of several lines: where the file is not here, such a hunk has no colours.
_LASTS = re.compile(r"\"{3}|'{3}|/\*|\*/|`|<!--|-->|--\[\[|\{-|-\}|\(\*|\*\)")
_HUNKS = 48  # hunks whose colours are kept; more than are ever in view
_FILES = 4  # files whose colours are kept


class DiffColours:
    """Keeps the colours of the hunks and files drawn last.

    `want_lexer` is called with the path of a file whose language has no lexer loaded; the answer goes to
    `has_lexer`. `want_file` is called with a file that the colours of its hunks depend on; the answer goes to
    `has_file`. Both are called once for each file.
    """

    def __init__(
        self,
        model: DiffModel,
        want_lexer: Callable[[str], object],
        want_file: Callable[[FileChange], object],
    ) -> None:
        self._model = model
        self._want_lexer = want_lexer
        self._want_file = want_file
        self._lexers_wanted: set[str] = set()
        self._files_wanted: set[str] = set()
        self._sides: dict[str, Mapping[str, Sides]] = {}
        self._hunk = lru_cache(_HUNKS)(self._read_hunk)
        self._file = lru_cache(_FILES)(self._read_file)

    def of_hunk(self, place: Row) -> HunkColours:
        """The colours of the hunk that a row belongs to."""
        return self._hunk(place.file, place.hunk)

    def of_file_line(self, place: Row) -> Spans:
        """The coloured spans of an "extra" row, a line of the file that is not in the diff."""
        return self._file(self._model.changes[place.file].path).spans((place.right or 1) - 1)

    def clear(self) -> None:
        """Forget everything; to be called when the changes are others."""
        self._hunk.cache_clear()
        self._file.cache_clear()
        self._files_wanted.clear()
        self._sides.clear()

    def has_lexer(self, path: str) -> None:
        """The lexer for `path` is loaded."""
        self._lexers_wanted.discard(path)
        self._hunk.cache_clear()
        self._file.cache_clear()

    def has_file(self, change: FileChange, sides: Mapping[str, Sides]) -> bool:
        """The hunks of `change` have these colours by the whole file; those that are missing are not in it, or
        it is not here. False, and nothing happens, if meanwhile the change is no longer shown."""
        if not any(one is change for one in self._model.changes):
            return False
        self._sides[change.path] = sides
        self._hunk.cache_clear()
        return True

    def _read_hunk(self, file: int, number: int) -> HunkColours:
        change = self._model.changes[file]
        hunk = change.hunks[number]
        lexer = self._lexer(change.path)
        sides = self._sides.get(change.path)
        if lexer is None or (sides is not None and hunk.id in sides):
            return HunkColours(hunk, sides=sides[hunk.id] if sides is not None and lexer is not None else None)
        if max(hunk.before_start, hunk.after_start) <= 1 and len(hunk.lines) <= _SHORT:
            return HunkColours(hunk, lexer)
        if sides is not None:
            is_certain = not any(_LASTS.search(line.text) for line in hunk.lines)
            return HunkColours(hunk, lexer if is_certain else None)
        if change.path not in self._files_wanted and hunk.after_start <= _FARTHEST:
            self._files_wanted.add(change.path)
            self._want_file(change)
        return HunkColours(hunk)

    def _read_file(self, path: str) -> LazySyntax:
        lines = self._model.around.files[path]
        return LazySyntax(
            self._lexer(path),
            len(lines),
            lambda at: visible(lines[at]) if len(lines[at]) <= LONG_LINE else "",
        )

    def _lexer(self, path: str) -> Lexer | None:
        if is_prepared(path):
            return lexer_for_path(path)
        if path not in self._lexers_wanted:
            self._lexers_wanted.add(path)
            self._want_lexer(path)
        return None
