"""Indentation: what a file uses, and what comes before the cursor on a new line."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

_LEADING = re.compile(r"[ \t]*")
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_OPENING = "".join(_PAIRS)
_CLOSING = "".join(_PAIRS.values())
_BLOCKS_BY_COLON = frozenset([".py", ".pyi", ".yaml", ".yml", ".nim", ".gd"])
_ENDS_BLOCK = re.compile(r"[ \t]*(?:return|raise|break|continue|pass)\b")
_TABS_BY_NAME = frozenset([".go", ".mk", "Makefile", "makefile", "GNUmakefile"])
_SAMPLE = 2_000  # lines that are looked at for a file's habits
_NEAR = 40  # lines around a blank one that are looked at for its guides


@dataclass(frozen=True, slots=True)
class Indentation:
    """What one level is: a tab that is shown `width` cells wide, or so many spaces."""

    width: int = 4
    is_tab: bool = False

    @property
    def unit(self) -> str:
        """One level's characters."""
        return "\t" if self.is_tab else " " * self.width


def leading(line: str) -> str:
    """The white space that `line` begins with."""
    found = _LEADING.match(line)
    return found[0] if found else ""


def indentation_of(lines: Sequence[str], name: str) -> Indentation:
    """What most lines of a file use; where none is indented, what files called `name` usually do."""
    tabs = 0
    steps: dict[int, int] = {}
    before = 0
    for line in lines[:_SAMPLE]:
        if line.startswith("\t"):
            tabs += 1
        elif line.strip():
            depth = len(leading(line))
            if depth - before in (2, 3, 4, 8):
                steps[depth - before] = steps.get(depth - before, 0) + 1
            before = depth
    if tabs > sum(steps.values()):
        return Indentation(is_tab=True)
    if steps:
        return Indentation(max(steps, key=lambda step: steps[step]))
    path = PurePosixPath(name)
    return Indentation(is_tab=bool({path.suffix, path.name} & _TABS_BY_NAME))


def indented(lines: Sequence[str], indentation: Indentation) -> list[str]:
    """`lines` one level deeper; empty ones stay empty."""
    return [indentation.unit + line if line.strip() else line for line in lines]


def outdented(lines: Sequence[str], indentation: Indentation) -> list[str]:
    """`lines` one level less deep, as far as they have white space in front."""
    return [line[_one_level(line, indentation.width) :] for line in lines]


def _one_level(line: str, width: int) -> int:
    """How many characters one level is at the beginning of `line`."""
    if line.startswith("\t"):
        return 1
    return min(len(line) - len(line.lstrip(" ")), width)


def new_line(before: str, after: str, indentation: Indentation, name: str) -> tuple[str, str]:
    """What Enter inserts between `before` and `after` on a line of a file called `name`: in front of the
    cursor, and behind it. Between a pair of brackets the closing one gets a line of its own."""
    margin = leading(before)
    code = before.rstrip()
    opens = code[-1:] != "" and code[-1] in _OPENING
    if opens:
        inside = f"\n{margin}{indentation.unit}"
        return inside, f"\n{margin}" if after.startswith(_PAIRS[code[-1]]) else ""
    if PurePosixPath(name).suffix in _BLOCKS_BY_COLON:
        if code.endswith(":"):
            return f"\n{margin}{indentation.unit}", ""
        if _ENDS_BLOCK.match(before) and PurePosixPath(name).suffix in (".py", ".pyi"):
            return f"\n{margin[: len(margin) - _one_level(margin[::-1], indentation.width)]}", ""
    return f"\n{margin}", ""


def closes_block(before: str, character: str) -> bool:
    """Whether `character`, typed behind `before`, is a closing bracket that begins its line."""
    return bool(character) and character in _CLOSING and before != "" and not before.strip()


def guides(lines: Sequence[str], number: int, indentation: Indentation, most: int = 20) -> range:
    """The cells at which line `number` has a guide, one for each level that it lies in, at most `most`. A blank
    line has those of the lines around it."""
    line = lines[number]
    if line.strip():
        depth = _cells(line, indentation.width)
    else:
        around = (range(number - 1, max(-1, number - _NEAR), -1), range(number + 1, number + _NEAR))
        depth = min(_depth_of_first(lines, numbers, indentation.width) for numbers in around)
    return range(0, min(depth, most * indentation.width), indentation.width)


def _depth_of_first(lines: Sequence[str], numbers: range, width: int) -> int:
    written = (lines[at] for at in numbers if at < len(lines) and lines[at].strip())
    return _cells(next(written, ""), width)


def _cells(line: str, width: int) -> int:
    return len(leading(line).expandtabs(width))
