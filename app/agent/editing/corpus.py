"""True edits, and the ways in which models get them wrong. Pure.

A true edit is one hunk of a change that somebody made. What a model would have to quote for it is perturbed as
models err; what must come of it then is known: the true text, or a refusal.
"""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

_CONTEXT = 2
"""Unchanged lines on each side of an edit, as models quote them."""
_MAX_LINES = 60
"""Lines of an edit: larger changes are written whole and not quoted."""
_QUOTES = {"'": "‘", '"': "“", "-": "–"}
_WORD = re.compile(r"[A-Za-z_]{4,}")


@dataclass(frozen=True, slots=True)
class TrueEdit:
    """In the file `before`, the lines `old` (from character `start` on) became `new`; `whole` is the file after
    everything that was changed with it. Lines end in "\\n"."""

    before: str
    start: int
    old: str
    new: str
    whole: str

    @property
    def after(self) -> str:
        """The file with this hunk alone."""
        return self.before[: self.start] + self.new + self.before[self.start + len(self.old) :]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A file, an edit as a model calls for it, and what must come of it: the file then, or None for a refusal.

    What has a right result may be refused all the same.
    """

    text: str
    old: str
    new: str
    expected: str | None


def hunks(before: str, after: str) -> Iterator[TrueEdit]:
    """The hunks between two versions, each with two lines of context, those that are too long left out."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(_CONTEXT):
        (_, a, _, c, _), (_, _, b, _, d) = group[0], group[-1]
        edit = TrueEdit(before, len("".join(old[:a])), "".join(old[a:b]), "".join(new[c:d]), after)
        if b > a and b - a <= _MAX_LINES and d - c <= _MAX_LINES and edit.old.strip() and edit.old != edit.new:
            yield edit


def _exact(edit: TrueEdit, _random: random.Random) -> Attempt | None:
    return Attempt(edit.before, edit.old, edit.new, edit.after)


def _trailing_space(edit: TrueEdit, chance: random.Random) -> Attempt | None:
    """Lines that the model quotes with spaces behind them, in the new text too where it keeps them."""
    lines = [line for line in edit.old.split("\n") if line.strip() and not line.endswith((" ", "\t"))]
    if not lines:
        return None
    chosen = chance.choice(lines)
    spaces = " " * chance.randint(1, 4)

    def spoil(text: str) -> str:
        return "\n".join(line + spaces if line == chosen else line for line in text.split("\n"))

    return Attempt(edit.before, spoil(edit.old), spoil(edit.new), edit.after)


def _typography(edit: TrueEdit, chance: random.Random) -> Attempt | None:
    """A quote or dash that the model writes as a typographer would, wherever it writes it."""
    there = [character for character in _QUOTES if character in edit.old]
    if not there or any(mark in edit.before + edit.new for mark in _QUOTES.values()):
        return None
    plain = chance.choice(there)
    fancy = _QUOTES[plain]
    return Attempt(edit.before, edit.old.replace(plain, fancy), edit.new.replace(plain, fancy), edit.after)


def _indentation(edit: TrueEdit, chance: random.Random) -> Attempt | None:
    """All of it moved to the right or to the left."""
    lines = [line for line in (edit.old + edit.new).split("\n") if line.strip()]
    by = chance.choice(("  ", "    ", "\t"))
    if chance.random() < 0.5 and all(line.startswith(by) for line in lines):

        def move(line: str) -> str:
            return line.removeprefix(by)
    else:

        def move(line: str) -> str:
            return by + line if line.strip() else line

    old, new = ("\n".join(map(move, text.split("\n"))) for text in (edit.old, edit.new))
    return Attempt(edit.before, old, new, edit.after) if old not in edit.before else None


def _stale(edit: TrueEdit, chance: random.Random) -> Attempt | None:
    """One quoted line is not what the file has any more."""
    lines = edit.old.split("\n")
    places = [number for number, line in enumerate(lines) if _WORD.search(line)]
    if not places:
        return None
    number = chance.choice(places)
    lines[number] = _WORD.sub(lambda word: f"{word[0]}_old", lines[number], count=1)
    old = "\n".join(lines)
    return Attempt(edit.before, old, edit.new, None) if old not in edit.before else None


def _duplicate(edit: TrueEdit, _random: random.Random) -> Attempt | None:
    """The quotation occurs twice in the file."""
    end = "" if edit.before.endswith("\n") else "\n"
    return (
        Attempt(f"{edit.before}{end}\n{edit.old}", edit.old, edit.new, None)
        if edit.old.endswith("\n")
        else None
    )


def _newline(edit: TrueEdit, _random: random.Random) -> Attempt | None:
    """The file ends without the newline that is quoted; elsewhere, both texts lack their last newline."""
    if not (edit.old.endswith("\n") and edit.new.endswith("\n")):
        return None
    if edit.start + len(edit.old) == len(edit.before):
        return Attempt(edit.before[:-1], edit.old, edit.new, edit.after[:-1])
    return Attempt(edit.before, edit.old[:-1], edit.new[:-1], edit.after)


def _whole_file(edit: TrueEdit, _random: random.Random) -> Attempt | None:
    """The whole file quoted and written again."""
    return Attempt(edit.before, edit.before, edit.whole, edit.whole)


PERTURBATIONS: dict[str, Callable[[TrueEdit, random.Random], Attempt | None]] = {
    "as it was": _exact,
    "trailing space": _trailing_space,
    "typography": _typography,
    "indentation": _indentation,
    "stale line": _stale,
    "duplicate": _duplicate,
    "newline": _newline,
    "whole file": _whole_file,
}


def attempts(edit: TrueEdit, chance: random.Random) -> Iterator[tuple[str, Attempt]]:
    """The edit perturbed in every way that it can be."""
    for name, perturb in PERTURBATIONS.items():
        attempt = perturb(edit, chance)
        if attempt is not None and attempt.old != attempt.new:
            yield name, attempt
