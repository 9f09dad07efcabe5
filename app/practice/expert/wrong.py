"""Wrong edits that somebody might try on a planted bug."""

import ast
from collections.abc import Collection

from app.practice.bugs.kinds import changes
from app.practice.draw import Draw
from app.practice.functions.function import Function
from app.practice.hunks import Hunk, hunk
from app.practice.model import PlantedBug

_KINDS = (
    "wrong-operator",
    "wrong-comparison",
    "wrong-constant",
    "wrong-variable",
    "wrong-call",
    "wrong-index",
    "swapped-arguments",
    "off-by-one",
    "misspelt-name",
    "missing-conversion",
)
_OWN_KIND = 4
"""How often the bug's own kind is drawn, for once each of the others."""
_SAME_LINE = 0.7
"""Of edits that would have changed the mended line, how many change the line with the bug."""
_TRIES = 16


def wrong_edit(bug: PlantedBug, text: str, avoided: Collection[str], draw: Draw) -> Hunk | None:
    """An edit of one line of the bug's function in `text`, its file with the bug, that mends nothing and makes
    none of the texts `avoided`; None where no such edit is found."""
    right = bug.fix.applied(text)
    functions = [function_in(right, bug.function), function_in(text, bug.function)]
    candidates = [function for function in functions if function is not None and _is_plain(function)]
    if not candidates:
        return None
    kinds = [bug.kind] * _OWN_KIND + list(_KINDS)
    for _ in range(_TRIES):
        function = draw.choice(candidates)
        possible = changes(function, draw.choice(kinds), draw)
        if not possible:
            continue
        change = draw.choice(possible)
        line = function.lines[change.first] if change.last - change.first == 1 else ""
        if not line or len(change.lines) != 1:
            continue
        if bug.fix.after == (line,) and len(bug.fix.before) == 1 and draw.chance(_SAME_LINE):
            line = bug.fix.before[0]
        if f"\n{text}".count(f"\n{line}\n") != 1:
            continue
        wrong = hunk(bug.fix.path, text, f"\n{text}".replace(f"\n{line}\n", f"\n{change.lines[0]}\n")[1:])
        if wrong is not None and wrong.applied(text) not in (right, *avoided):
            return wrong
    return None


def _is_plain(function: Function) -> bool:
    """Whether it is Python, and without a loop that a wrong edit might make endless."""
    try:
        return not any(isinstance(node, ast.While) for node in ast.walk(ast.parse("\n".join(function.lines))))
    except SyntaxError:
        return False


def function_in(text: str, name: str) -> Function | None:
    """The function or class as it stands in a file; None where it is not there once."""
    lines = text.removesuffix("\n").split("\n")
    starts = [index for index, line in enumerate(lines) if line.startswith((f"def {name}(", f"class {name}:"))]
    if len(starts) != 1:
        return None
    end = next(
        (index for index in range(starts[0] + 1, len(lines)) if lines[index][:1] not in ("", " ")), len(lines)
    )
    while not lines[end - 1].strip():
        end -= 1
    return Function("", name, tuple(lines[starts[0] : end]), ())
