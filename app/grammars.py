"""Which tree-sitter grammar reads a file, by the file's name; grammars are loaded when first asked for."""

from functools import cache
from importlib import import_module
from pathlib import PurePath
from types import ModuleType

from tree_sitter import Language

# By a file's ending, the grammar's package and its language; those that Textual's text area knows, and bash.
_LANGUAGES = {
    ".py": "python",
    ".pyi": "python",
    ".js": "javascript",
    ".jsx": "javascript",
    ".mjs": "javascript",
    ".cjs": "javascript",
    ".ts": "typescript",
    ".mts": "typescript",
    ".cts": "typescript",
    ".tsx": "tsx",
    ".rs": "rust",
    ".go": "go",
    ".java": "java",
    ".sh": "bash",
    ".bash": "bash",
    ".md": "markdown",
}
ENDINGS = tuple(_LANGUAGES)
"""The endings of files that a grammar reads."""
LARGEST = 1_000_000
"""Bytes; generated files are not worth the wait."""
# Those that share a package, and what it calls them.
IN_PACKAGE = {
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
}


def language_of(path: str) -> str | None:
    """The language of a file with this name; None where no grammar reads it."""
    return _LANGUAGES.get(PurePath(path).suffix.lower())


@cache
def grammar(language: str) -> tuple[Language, ModuleType]:
    """The grammar of one of the languages that `language_of` gives, and the package that it comes from."""
    package, function = IN_PACKAGE.get(language, (f"tree_sitter_{language}", "language"))
    module = import_module(package)
    return Language(getattr(module, function)()), module
