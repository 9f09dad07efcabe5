"""The symbols of source files, by the tags queries of tree-sitter's grammars. Blocks: call it in a thread."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from tree_sitter import Node, Parser, Query, QueryCursor

from app.grammars import ENDINGS, IN_PACKAGE, LARGEST, grammar, language_of
from app.workspace.search import ripgrep

# For grammars that come without a query for tags.
_TAGS = {
    "bash": "(function_definition name: (word) @name) @definition.function",
    "markdown": "(atx_heading (inline) @name) @definition.heading (setext_heading (paragraph) @name) "
    "@definition.heading",
}
_TYPESCRIPT_TAGS = (
    "(type_alias_declaration name: (type_identifier) @name) @definition.type "
    "(enum_declaration name: (identifier) @name) @definition.enum"
)
_MOST_FILES = 200  # files that are parsed for one query over the repository


@dataclass(frozen=True, slots=True)
class Symbol:
    """A definition: its name, what it is ("function", "class", …), and where; `line` counts from 1."""

    name: str
    kind: str
    path: str
    line: int


def symbols_of(path: str, data: bytes) -> tuple[Symbol, ...]:
    """The definitions in a file's content, by line."""
    language = language_of(path)
    if language is None or len(data) > LARGEST:
        return ()
    parser, query = _tools(language)
    found: dict[tuple[int, str], Symbol] = {}
    for _, captures in QueryCursor(query).matches(parser.parse(data).root_node):
        kind = next((name.partition(".")[2] for name in captures if name.startswith("definition.")), "")
        for node in captures.get("name", ()) if kind else ():
            name = _text(node)
            symbol = Symbol(name, kind, path, node.start_point.row + 1)
            # The first that says what it is: a method is a function too.
            found.setdefault((symbol.line, name), symbol)
    return tuple(sorted(found.values(), key=lambda symbol: symbol.line))


def symbols_in(root: Path, query: str) -> tuple[Symbol, ...]:
    """The definitions below `root`, ignore rules kept, whose names hold `query` (small and capital letters are
    the same): those that are called so first, then those that begin so. Raises WorkspaceError."""
    wanted = query.casefold().strip()
    if not wanted:
        return ()
    globs = [f"*{ending}" for ending in ENDINGS]
    paths = ripgrep.files_with(root, wanted, globs)[:_MOST_FILES]
    found = [symbol for path in paths for symbol in _read(root, path) if wanted in symbol.name.casefold()]
    return tuple(sorted(found, key=lambda symbol: (_distance(symbol.name, wanted), symbol.path, symbol.line)))


def _distance(name: str, wanted: str) -> tuple[bool, bool, int]:
    folded = name.casefold()
    return folded != wanted, not folded.startswith(wanted), len(folded)


def _read(root: Path, path: str) -> Sequence[Symbol]:
    try:
        return symbols_of(path, (root / path).read_bytes())
    except OSError:
        return ()  # gone since it was listed


@cache
def _tools(language: str) -> tuple[Parser, Query]:
    read, module = grammar(language)
    text = _TAGS.get(language) or module.TAGS_QUERY
    if language in IN_PACKAGE:
        # Its own query has only what JavaScript has not, and neither aliases nor enumerations.
        text += import_module("tree_sitter_javascript").TAGS_QUERY + _TYPESCRIPT_TAGS
    return Parser(read), Query(read, text)


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace").strip()
