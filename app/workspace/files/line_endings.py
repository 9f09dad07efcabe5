"""Line endings: text that was worked on with "\\n" gets those of its file back."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from app.workspace.files.text import prevailing_line_ending

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_ENDING = re.compile(r"(?:\r\n|\r|\n)\Z")


def split_lines(text: str) -> list[str]:
    """Lines with their endings, divided at "\\n", "\\r\\n" and "\\r" only (str.splitlines knows many more)."""
    return _LINE.findall(text)


def with_line_endings(before: str, after: str) -> str:
    """`after`, whose lines end in "\\n", with the line endings of `before`.

    Each line that both have keeps its own ending, one that replaces another takes that one's, and new lines get
    the one that prevails.
    """
    if "\r" not in before:
        return after
    ending = prevailing_line_ending(before)
    if ending == "\r\n" and before.count("\r") == before.count("\n") == before.count("\r\n"):
        return after.replace("\n", "\r\n")  # the rule for a file whose lines all end alike, in less time
    real = split_lines(before)
    old = [_ENDING.sub("\n", line) for line in real]
    new = split_lines(after)
    if ending == "\r" and "\n" in before:
        ending = "\n"  # a lone "\r" before a blank line that ends in "\n" would read as one ending
    result: list[str] = []
    for same, a, b, c, d in line_blocks(old, new):
        if same:
            result += real[a:b]
            continue
        is_one_to_one = b - a == d - c
        endings = [_ending(line) or ending for line in real[a:b]] if is_one_to_one else [ending] * (d - c)
        result += [_ENDING.sub(mark, line) for line, mark in zip(new[c:d], endings, strict=True)]
    return "".join(_apart(result))


def _apart(lines: list[str]) -> Iterator[str]:
    """`lines`, where an empty one behind a lone "\\r" would be joined to it: that one gets the same ending."""
    before = ""
    for line in lines:
        before = "\r" if line == "\n" and before.endswith("\r") else line
        yield before


def line_blocks(old: list[str], new: list[str]) -> list[tuple[bool, int, int, int, int]]:
    """How `old` becomes `new`: (same, a, b, c, d) for old[a:b] and new[c:d].

    What both begin and end with is never taken for something else in between.
    """
    head = in_common(old, new)
    tail = in_common(old[head:][::-1], new[head:][::-1])
    middle = SequenceMatcher(None, old[head : len(old) - tail], new[head : len(new) - tail], autojunk=False)
    return [
        (True, 0, head, 0, head),
        *((tag == "equal", a + head, b + head, c + head, d + head) for tag, a, b, c, d in middle.get_opcodes()),
        (True, len(old) - tail, len(old), len(new) - tail, len(new)),
    ]


def in_common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many items both begin with."""
    return next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _ending(line: str) -> str:
    found = _ENDING.search(line)
    return found[0] if found else ""
