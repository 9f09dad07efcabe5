"""The ladder: where in a file is the text that a model quotes, given how models misquote?

Exactly first; then with typographic punctuation read as plain; then without trailing white space; then, only
where there is one such place, at another indentation. Each rung is tried only when those before found nothing.
"""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

Rung = Literal["exact", "final newline", "punctuation", "trailing space", "indentation"]

_PLAIN = {
    **dict.fromkeys("‘’‚‛′", "'"),
    **dict.fromkeys("“”„‟″", '"'),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    **dict.fromkeys(
        "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "
    ),
    **dict.fromkeys("\u200b\u2060\ufeff", ""),
    "…": "...",
}
_TYPOGRAPHIC = re.compile("[" + "".join(_PLAIN) + "]")
# Begins only where a run of blanks begins and gives nothing back, so that a long run is read once.
_TRAILING_SPACE = re.compile(r"(?<![ \t])[ \t]++(?=\n|\Z)")
_INDENT = re.compile(r"[ \t]*")


@dataclass(frozen=True, slots=True)
class Match:
    """An occurrence of the quoted text: text[start:end], found on `rung`. `old` and `new` are the edit to apply
    there: the model's own, or re-indented."""

    start: int
    end: int
    rung: Rung
    old: str
    new: str


def find_matches(text: str, old: str, new: str) -> list[Match]:
    """Every match of `old` in `text`, in order; they may overlap. Lines end in "\\n"."""
    exact = [Match(start, start + len(old), "exact", old, new) for start in _occurrences(text, old)]
    start = len(text) - len(old) + 1
    if old.strip() and old[:-1] + "\n" == old and text[max(start - 1, 0) :] in (old[:-1], "\n" + old[:-1]):
        # The file's last line lacks the newline that the model takes for granted. Beside exact places it is one
        # more that may be meant.
        return [*exact, Match(start, len(text), "final newline", old[:-1], new.removesuffix("\n"))]
    if exact:
        return exact
    if not any(character.isalnum() for character in old):
        return []
    folded = _folded(text, old, new, strip=False) or _folded(text, old, new, strip=True)
    if folded:
        return folded
    moved = _reindented(text, old, new)
    return [moved] if moved else []


def _occurrences(text: str, part: str) -> list[int]:
    found = []
    start = text.find(part)
    while start >= 0:
        found.append(start)
        start = text.find(part, start + 1)
    return found


def plain(text: str) -> str:
    """`text` with typographic punctuation and spaces read as their ASCII likes."""
    return _TYPOGRAPHIC.sub(lambda match: _PLAIN[match[0]], text)


@dataclass(frozen=True, slots=True)
class _Fold:
    """A text read leniently; character i of `text` comes from `origin[i]`, the end from `origin[-1]`."""

    text: str
    origin: list[int]


def _fold(text: str, strip: bool) -> _Fold:
    dropped = _TRAILING_SPACE.finditer(plain_spaces(text)) if strip else iter(())
    skip = [(match.start(), match.end()) for match in dropped]
    pieces: list[str] = []
    origin: list[int] = []
    position = 0
    for start, end in [*skip, (len(text), len(text))]:
        for index in range(position, start):
            piece = _PLAIN.get(text[index], text[index])
            pieces.append(piece)
            origin.extend([index] * len(piece))
        position = end
    origin.append(len(text))
    return _Fold("".join(pieces), origin)


def plain_spaces(text: str) -> str:
    """`text` with every exotic space as a plain one, character for character."""
    return _TYPOGRAPHIC.sub(lambda match: " " if _PLAIN[match[0]] == " " else match[0], text)


def _folded(text: str, old: str, new: str, strip: bool) -> list[Match]:
    wanted = _fold(old, strip).text
    quickly = plain(text)
    if not wanted.strip() or wanted not in (_TRAILING_SPACE.sub("", quickly) if strip else quickly):
        return []  # where each character came from is worth finding out only for what is there
    # Where trailing space was taken from the end of the quotation, it must end where a line ends: else the
    # quotation "x = 1 " would be found at the beginning of "x = 10".
    ends_line = strip and old != old.rstrip(" \t")
    fold = _fold(text, strip)
    places = []
    for start in _occurrences(fold.text, wanted):
        end = start + len(wanted)
        origin = fold.origin
        if (start > 0 and origin[start] == origin[start - 1]) or origin[end] == origin[end - 1]:
            continue  # half of a character that reads as three
        first = origin[start]
        if wanted.startswith("\n"):
            # A blank first line is a whole line, and not the end of one with words.
            if start > 0 and fold.text[start - 1] != "\n":
                continue
            first = origin[start - 1] + 1 if start > 0 else 0
        stop = origin[end - 1] + 1
        if ends_line:
            if end < len(fold.text) and fold.text[end] != "\n":
                continue
            stop = origin[end]
        places.append(Match(first, stop, "trailing space" if strip else "punctuation", old, new))
    return places


def _indent(line: str) -> str:
    match = _INDENT.match(line)
    return match[0] if match else ""


def _reindented(text: str, old: str, new: str) -> Match | None:
    """The only place whose lines have the quoted words, if one change of indentation explains the rest."""
    quoted = old.removesuffix("\n").split("\n")
    lines = text.split("\n")
    wanted = [plain(line).strip() for line in quoted]
    bare = [plain(line).strip() for line in lines]
    count = len(wanted)
    firsts = [
        first
        for first in range(len(lines) - count + 1)
        if bare[first] == wanted[0] and bare[first : first + count] == wanted
    ]
    if len(firsts) != 1 or not _is_consistent(quoted, new.split("\n")):
        return None
    first, last = firsts[0], firsts[0] + count
    change = _change_of_indent(quoted, lines[first:last])
    if change is None:
        return None
    again, replacement = change.apply(old), change.apply(new)
    if again is None or replacement is None:
        return None
    start = sum(len(line) + 1 for line in lines[:first])
    end = start + sum(len(line) + 1 for line in lines[first:last]) - 1
    if old.endswith("\n"):
        if last < len(lines):
            end += 1
        else:
            again, replacement = again.removesuffix("\n"), replacement.removesuffix("\n")
    return Match(start, end, "indentation", again, replacement)


def _is_consistent(old: list[str], new: list[str]) -> bool:
    """Whether the new text is indented as the quotation is. If not, one of the two is right about the file and
    the other is not, and which cannot be told."""
    heads = [next((_indent(line) for line in lines if line.strip()), None) for lines in (old, new)]
    if None not in heads and heads[0] != heads[1]:
        return False
    bare_old, bare_new = ([plain(line).strip() for line in lines] for lines in (old, new))
    blocks = SequenceMatcher(None, bare_old, bare_new, autojunk=False).get_matching_blocks()
    pairs = ((old[block.a + i], new[block.b + i]) for block in blocks for i in range(block.size))
    return all(_indent(one) == _indent(other) for one, other in pairs if one.strip())


@dataclass(frozen=True, slots=True)
class _IndentChange:
    """Leading `remove` becomes `add`; and before that, each tab `width` spaces or the other way round."""

    remove: str = ""
    add: str = ""
    width: int = 0
    to_tabs: bool = False

    def _line(self, line: str) -> str | None:
        indent = _indent(line)
        rest = line[len(indent) :]
        if not rest.strip():
            return line
        if self.width and self.to_tabs:
            spaces = indent.replace("\t", " " * self.width)
            if len(spaces) % self.width:
                return None
            indent = "\t" * (len(spaces) // self.width)
        elif self.width:
            indent = indent.replace("\t", " " * self.width)
        if not indent.startswith(self.remove):
            return None
        return self.add + indent[len(self.remove) :] + rest

    def apply(self, text: str) -> str | None:
        """`text` at the other indentation; None where a line has not the indentation to take away."""
        lines = [self._line(line) for line in text.split("\n")]
        return (
            None
            if any(line is None for line in lines)
            else "\n".join(line for line in lines if line is not None)
        )


def _change_of_indent(quoted: list[str], real: list[str]) -> _IndentChange | None:
    """The one change that takes the indentation of every quoted line to the real line's."""
    pairs = [(_indent(a), _indent(b)) for a, b in zip(quoted, real, strict=True) if a.strip()]
    if not pairs:
        return None
    candidates = [_IndentChange()]
    first_quoted, first_real = pairs[0]
    if first_real.endswith(first_quoted):
        candidates.append(_IndentChange(add=first_real[: len(first_real) - len(first_quoted)]))
    if first_quoted.endswith(first_real):
        candidates.append(_IndentChange(remove=first_quoted[: len(first_quoted) - len(first_real)]))
    candidates += [_IndentChange(width=width, to_tabs="\t" in first_real) for width in (4, 2, 8, 3)]
    candidates += [_IndentChange(width=width, to_tabs=True) for width in (4, 2, 8, 3)]
    for change in candidates:
        if all(change.apply(a + "x") == b + "x" for a, b in pairs):
            return change
    return None
