"""The syntax colours of the hunks and files in view.

Where a lexer must be loaded or a file read for them, the text is drawn without colours first; the lexer and the
file are asked for, and the next drawing uses them.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

from pygments.lexer import Lexer

from app.review.model import FileChange, Hunk
from app.ui.diff.model.diff_model import DiffModel
from app.ui.diff.model.rows import Row
from app.ui.diff.painter.hunk_colours import LONG_LINE, HunkColours
from app.ui.drawing.syntax import LazySyntax, Spans, is_prepared, lexer_for_path
from app.ui.drawing.text import visible

_FARTHEST = 50_000  # lines; for a hunk further down, its file is not read for the colours alone
_HUNKS = 48  # hunks whose colours are kept; more than are ever in view
_FILES = 4  # files whose colours are kept


class DiffColours:
    """Keeps the colours of the hunks and files drawn last.

    `want_lexer` is called with the path of a file whose language has no lexer loaded; the answer goes to
    `has_lexer`. `want_file` is called with a hunk whose file was not read (a string or comment may start above
    the hunk); the answer goes to `has_file`. Both are called once for each file.
    """

    def __init__(
        self,
        model: DiffModel,
        want_lexer: Callable[[str], object],
        want_file: Callable[[FileChange, Hunk], object],
    ) -> None:
        self._model = model
        self._want_lexer = want_lexer
        self._want_file = want_file
        self._lexers_wanted: set[str] = set()
        self._files_wanted: set[str] = set()
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

    def has_lexer(self, path: str) -> None:
        """The lexer for `path` is loaded."""
        self._lexers_wanted.discard(path)
        self._hunk.cache_clear()
        self._file.cache_clear()

    def has_file(self, change: FileChange, hunk: Hunk, lines: Sequence[str]) -> bool:
        """The file of `hunk` after the change has these lines. False, and nothing happens, if meanwhile the
        change is no longer shown or the file is another one."""
        if not any(one is change for one in self._model.changes):
            return False
        if not self._model.around.know(change, hunk, lines):
            return False
        self._hunk.cache_clear()
        return True

    def _read_hunk(self, file: int, number: int) -> HunkColours:
        change = self._model.changes[file]
        hunk = change.hunks[number]
        lexer = self._lexer(change.path)
        if lexer is not None and self._needs_file(change, hunk):
            self._files_wanted.add(change.path)
            self._want_file(change, hunk)
        return HunkColours(hunk, lexer, self._model.around.above(change, hunk))

    def _needs_file(self, change: FileChange, hunk: Hunk) -> bool:
        is_known = change.path in self._model.around.files or change.path in self._files_wanted
        return not is_known and 1 < hunk.after_start <= _FARTHEST

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
