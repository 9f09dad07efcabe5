"""An edit in one short sentence, which names the line and what in it has to change."""

import re

from app.practice.hunks import Hunk

_TOKENS = re.compile(r"\w+|\s+|==|!=|<=|>=|\+=|-=|\*=|//=|\*\*|//|.")


def told(edit: Hunk) -> str:
    """Such as "in `total -= value`, `-=` must be `+=`." """
    before, after = edit.before, edit.after
    if not before:
        made = " ".join(line.strip() for line in after if line.strip())
        first = edit.old.split("\n")[0]
        if edit.new.startswith(first):
            return f"after `{first.strip()}`, `{made}` is missing."
        return f"before `{edit.old.split(chr(10))[-1].strip()}`, `{made}` is missing."
    old, new = before[0].strip(), after[0].strip() if after else ""
    if old == new:
        too_far = len(before[0]) > len(after[0])
        return f"`{old}` is indented {'too far' if too_far else 'too little'}."
    was, will = difference(old, new)
    if will == "self." and not was:
        was = _without_self(old, new)
        will = f"self.{was}"
    if not was:
        return f"`{old}` lacks `{will}`."
    if not will:
        return f"in `{old}`, `{was}` is too much."
    return f"in `{old}`, `{was}` must be `{will}`."


def _without_self(old: str, new: str) -> str:
    """The name before which `new` has `self.` and `old` has not."""
    return next(
        found[1]
        for found in re.finditer(r"self\.(\w+)", new)
        if new[: found.start()] + new[found.start(1) :] == old
    )


def difference(old: str, new: str) -> tuple[str, str]:
    """The words and signs in which two lines differ."""
    was, will = _TOKENS.findall(old), _TOKENS.findall(new)
    start = 0
    while start < min(len(was), len(will)) and was[start] == will[start]:
        start += 1
    end = 0
    while end < min(len(was), len(will)) - start and was[-1 - end] == will[-1 - end]:
        end += 1
    return "".join(was[start : len(was) - end]).strip(), "".join(will[start : len(will) - end]).strip()


def capital(sentence: str) -> str:
    """The sentence with a capital where it begins with a word."""
    return sentence[0].upper() + sentence[1:]
