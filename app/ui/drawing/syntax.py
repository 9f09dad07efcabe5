"""Syntax colour for the lines that are looked at, by pygments, a block of lines at a time.

A block is read with some lines before it, so that most strings and comments that began earlier are seen; a
whole file is never read for the sake of one screen.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.lexers._mapping import LEXERS
from pygments.token import Token, _TokenType
from pygments.util import ClassNotFound
from textual.cache import LRUCache

_BLOCK = 100
"""Lines highlighted at once: more than most screens show."""
_LEAD = 80
"""Lines read before a block, so that most strings and comments open in it."""
_LONGEST_BLOCK = (
    60_000  # characters; beyond, a block is minified or data, and colour would cost more than it tells
)

Spans = tuple[tuple[int, int, str], ...]

_CATEGORIES: dict[_TokenType, str] = {
    Token.Comment: "comment",
    Token.Comment.Preproc: "decorator",
    Token.Keyword: "keyword",
    Token.Keyword.Constant: "constant",
    Token.Keyword.Type: "type",
    Token.Operator.Word: "keyword",
    Token.Operator: "operator",
    Token.Literal.String: "string",
    Token.Literal.Number: "number",
    Token.Literal.Date: "number",
    Token.Name.Function: "function",
    Token.Name.Class: "class",
    Token.Name.Exception: "class",
    Token.Name.Decorator: "decorator",
    Token.Name.Builtin: "builtin",
    Token.Name.Constant: "constant",
    Token.Name.Tag: "tag",
    Token.Name.Attribute: "attribute",
    Token.Generic.Heading: "heading",
    Token.Generic.Subheading: "heading",
    Token.Generic.Inserted: "added",
    Token.Generic.Deleted: "removed",
}
_known: dict[_TokenType, str] = {}
_lexers: dict[str, Lexer | None] = {}  # by ending, or by the whole name


def _category(token: _TokenType) -> str:
    found = _known.get(token)
    if found is None:
        ancestor: _TokenType | None = token
        while ancestor is not None and ancestor not in _CATEGORIES:
            ancestor = ancestor.parent
        found = _known[token] = _CATEGORIES[ancestor] if ancestor is not None else ""
    return found


def is_prepared(path: str) -> bool:
    """Whether `lexer_for_path` answers at once. To make a language's first lexer takes as long as a frame."""
    return _kind_of(path) in _lexers


def lexer_for_path(path: str) -> Lexer | None:
    """The lexer that a file's name asks for, if any."""
    kind = _kind_of(path)
    if kind not in _lexers:
        try:
            if alias := _aliases_by_ending().get(kind):
                found = get_lexer_by_name(alias, stripnl=False, ensurenl=False)
            else:
                found = get_lexer_for_filename(kind, stripnl=False, ensurenl=False)
        except ClassNotFound:
            found = None
        _lexers[kind] = found
    return _lexers[kind]


def _kind_of(path: str) -> str:
    """What of a name tells the language: its ending, where only one language has that, else all of it. To look
    a whole name up tries the patterns of several hundred languages, each a regular expression to be made."""
    name = path.rsplit("/", 1)[-1]
    ending = name[name.rfind(".") :] if "." in name else ""
    return ending if ending in _aliases_by_ending() else name


@lru_cache(1)
def _aliases_by_ending() -> dict[str, str]:
    """The name of the one language that files with an ending are in."""
    found: dict[str, list[str]] = {}
    special: set[str] = set()  # endings in patterns such as "meson.build", which ask for more than the ending
    for _, _, aliases, patterns, _ in LEXERS.values():
        for pattern in patterns:
            ending = pattern[pattern.rfind(".") :]
            if pattern == f"*{ending}" and "[" not in ending and aliases:
                found.setdefault(ending, []).append(aliases[0])
            else:
                special.add(ending)
    return {ending: names[0] for ending, names in found.items() if len(names) == 1 and ending not in special}


def lexer_for_language(language: str) -> Lexer | None:
    """The lexer for a Markdown fence's language, if any."""
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def highlight_lines(lines: Sequence[str], lexer: Lexer) -> list[Spans]:
    """The coloured spans of every line, as (start, end, category)."""
    rows: list[list[tuple[int, int, str]]] = [[] for _ in lines]
    row = column = 0
    for token, value in lexer.get_tokens("\n".join(lines)):
        category = _category(token)
        for number, piece in enumerate(value.split("\n")):
            if number:
                row, column = row + 1, 0
            if piece and category and row < len(rows):
                rows[row].append((column, column + len(piece), category))
            column += len(piece)
    return [tuple(spans) for spans in rows]


class LazySyntax:
    """Coloured spans of single lines out of `count` lines, which `line` gives already made visible."""

    def __init__(self, lexer: Lexer | None, count: int, line: Callable[[int], str]) -> None:
        self._lexer = lexer
        self._count = count
        self._line = line
        self._blocks: LRUCache[int, list[Spans]] = LRUCache(64)

    def spans(self, number: int) -> Spans:
        """The spans of line `number`, counted from 0."""
        if self._lexer is None:
            return ()
        block = number // _BLOCK
        found = self._blocks.get(block)
        if found is None:
            found = self._blocks[block] = self._read(self._lexer, block)
        offset = number - block * _BLOCK
        return found[offset] if offset < len(found) else ()

    def change_from(self, number: int, count: int) -> None:
        """Lines from `number` on are others, and there are `count` now."""
        self._count = count
        for block in tuple(self._blocks.keys()):
            if (block + 1) * _BLOCK > number:
                self._blocks.discard(block)

    def _read(self, lexer: Lexer, block: int) -> list[Spans]:
        start = block * _BLOCK
        lead = max(0, start - _LEAD)
        lines: list[str] = []
        size = 0
        for number in range(lead, min(self._count, start + _BLOCK)):
            text = self._line(number)
            size += len(text)
            if size > _LONGEST_BLOCK:
                return []
            lines.append(text)
        return highlight_lines(lines, lexer)[start - lead :]
