"""The one place where two texts differ, as an edit that can be made by text alone."""

import re
from dataclasses import dataclass

_WORDS = re.compile(r"\w+|\s+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Hunk:
    """In the file at `path`, `old` becomes `new`. Both are whole lines without the last line ending, and `old`
    is there only once. `before` and `after` are the lines that differ, without those that make `old` unique."""

    path: str
    old: str
    new: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    def applied(self, text: str) -> str:
        """`text` with the edit made."""
        return text.replace(self.old, self.new, 1)


def hunk(path: str, before: str, after: str) -> Hunk | None:
    """The edit that makes `after` of `before`; None where they are equal or no lines around it are unique.

    `old` begins at the first line that differs, or for lines that are only added at the one before, and goes on
    for as many lines as make it unique.
    """
    old, new = before.removesuffix("\n").split("\n"), after.removesuffix("\n").split("\n")
    if old == new:
        return None
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    changed, made = old[start : len(old) - end], new[start : len(new) - end]
    first, last = start, len(old) - end
    if not changed:
        # Nothing is to be replaced, so the edit holds on to a neighbour; a docstring would be long to tell.
        is_after = start > 0 and '"""' not in old[start - 1]
        first, last = (start - 1, last) if is_after else (start, last + 1)
    if not "".join(old[first:last]).strip():
        first -= 1
    while last <= len(old):
        text = "\n".join(old[first:last])
        if f"\n{before}".count(f"\n{text}") == 1 == before.count(text) and old[last - 1].strip():
            kept = new[first:start] + made + new[len(new) - end : len(new) - end + last - (len(old) - end)]
            return Hunk(path, text, "\n".join(kept), tuple(changed), tuple(made))
        last += 1
    return None


def without_rest(text: str, old: str, new: str) -> tuple[str, str]:
    """`old` and `new`, one line each, without the words and signs after the last that differ, as far as `old`
    stays unique in `text`. Where nothing is taken away, one word or sign after what is put in is left.

    A learner copies what stands before a change easily; after it, what it wrote last is not in the old line,
    and it goes on as after the same word elsewhere.
    """
    if "\n" in old or "\n" in new:
        return old, new
    was, will = _WORDS.findall(old), _WORDS.findall(new)
    same = next(
        (n for n, (a, b) in enumerate(zip(was, will, strict=False)) if a != b), min(len(was), len(will))
    )
    end = 0
    while end < min(len(was), len(will)) - same and was[-1 - end] == will[-1 - end]:
        end += 1
    if same + end == len(was):
        end -= 1  # nothing is taken away
    for rest in range(max(end, 0), 0, -1):
        short = "".join(was[: len(was) - rest])
        if short.strip() and not short[-1].isspace() and text.count(short) == 1:
            return short, "".join(will[: len(will) - rest])
    return old, new
