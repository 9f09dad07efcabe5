"""Where a function can be changed: its syntax tree, and how to put other text in a place of it."""

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass

from app.practice.draw import Draw
from app.practice.functions.function import Function


@dataclass(frozen=True, slots=True)
class Change:
    """The lines `first` to `last` (excluded), counted from 0 in the function, become `lines`."""

    first: int
    last: int
    lines: tuple[str, ...]

    def applied(self, function: Function) -> tuple[str, ...]:
        """The function's lines after it."""
        return (*function.lines[: self.first], *self.lines, *function.lines[self.last :])


@dataclass(frozen=True, slots=True)
class Site:
    """A function to plant a bug in."""

    function: Function
    tree: ast.Module
    draw: Draw

    def nodes(self) -> Iterator[ast.AST]:
        """The nodes of the body. F-strings are left out: Python 3.11 does not know the places in them."""
        waiting: list[ast.AST] = list(self.tree.body)
        while waiting:
            node = waiting.pop(0)
            yield node
            if not isinstance(node, ast.JoinedStr):
                waiting = [*ast.iter_child_nodes(node), *waiting]

    def bound(self) -> list[str]:
        """The names of parameters and variables, in order."""
        names = [
            node.arg if isinstance(node, ast.arg) else node.id
            for node in self.nodes()
            if isinstance(node, ast.arg) or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        ]
        return [name for name in dict.fromkeys(names) if name not in ("self", "_")]

    def body_lines(self) -> Iterator[tuple[int, str]]:
        """Index and text of every line with code, the first included, docstrings not."""
        for index, line in enumerate(self.function.lines):
            if line.strip() and '"""' not in line:
                yield index, line

    def text(self, node: ast.expr) -> str:
        """What is written for the node. It must be on one line."""
        assert node.end_col_offset is not None
        return self.function.lines[node.lineno - 1][node.col_offset : node.end_col_offset]

    def instead(self, node: ast.expr, text: str) -> Change:
        """`text` in place of the node."""
        assert node.end_col_offset is not None
        return self.at(node.lineno - 1, node.col_offset, node.end_col_offset, text)

    def at(self, line: int, start: int, end: int, text: str) -> Change:
        """`text` in place of columns `start` to `end` of a line."""
        old = self.function.lines[line]
        return Change(line, line + 1, (old[:start] + text + old[end:],))

    def between(self, left: ast.expr, right: ast.expr, sign: str, text: str) -> Change | None:
        """`text` in place of `sign`, which stands between two nodes; None where it is not to be found."""
        line = self.function.lines[left.lineno - 1]
        assert left.end_col_offset is not None
        start = line.find(sign, left.end_col_offset, right.col_offset)
        if start < 0 or left.lineno != right.lineno:
            return None
        return self.at(left.lineno - 1, start, start + len(sign), text)

    def misspelt(self, word: str) -> str:
        """`word` with a letter lost, doubled, or exchanged with the next; itself where it is too short."""
        if len(word) < 3:
            return word
        place, how = self.draw.integer(1, len(word) - 2), self.draw.integer(0, 2)
        before, after = word[:place], word[place + 1 :]
        if how == 0:
            return before + after
        if how == 1:
            return before + word[place] * 2 + after
        return before + after[0] + word[place] + after[1:]


def is_builtin(name: str) -> bool:
    """Whether Python knows the name by itself."""
    return hasattr(builtins, name)
