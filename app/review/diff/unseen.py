"""Why lines that differ look the same: blanks, tabs, line endings, characters that cannot be seen, letters of
another alphabet."""

import re
import unicodedata
from collections.abc import Callable, Sequence

from app.review.model import DiffLine

_TAB_WIDTH = 4  # columns, as the screen has it
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\uffa0\ufff9-\ufffb\U000e0000-\U000e007f\U000e0100-\U000e01ef]|(?<=.)\ufeff"
)
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_NO_TEXT = re.compile("[\ud800-\udfff]")  # bytes that are no UTF-8
# What most fonts draw as letters and signs of ASCII (from Unicode's confusables, UTS 39).
_LOOKALIKES = str.maketrans(
    # Cyrillic, Greek and Armenian letters, hyphens and dashes, quotation marks.
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0501\u04bb\u04cf\u051b\u051d"
    "\u0410\u0412\u0415\u0405\u0406\u0408\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425"
    "\u03bd\u03bf\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
    "\u0585\u057d\u0570\u2010\u2011\u2012\u2013\u2014\u2212\u2018\u2019\u201b\u201c\u201d\u201f",
    "aeopcyxijsdhlqwABESIJKMHOPCTYXvoABEZHIKMNOPTYXouh------'''\"\"\"",
)


def _without_trailing(text: str) -> str:
    end = "\r" if text.endswith("\r") else ""
    return text.removesuffix("\r").rstrip(" \t") + end


_FOLDS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("byte-order mark", lambda text: text.removeprefix("\ufeff")),
    ("line ending (CRLF)", lambda text: text.removesuffix("\r")),
    ("trailing blanks", _without_trailing),
    ("tabs and blanks", lambda text: text.expandtabs(_TAB_WIDTH)),
    ("characters that cannot be seen", lambda text: _UNSEEN.sub("", text)),
    ("other kinds of space", lambda text: _SPACES.sub(" ", text)),
    ("Unicode form (NFC, NFD)", lambda text: unicodedata.normalize("NFC", text)),
    ("letters or signs that look alike", lambda text: text.translate(_LOOKALIKES)),
    ("bytes that are no UTF-8", lambda text: _NO_TEXT.sub("\ufffd", text)),
)


def unseen_changes(removed: str, added: str) -> tuple[str, ...]:
    """What makes two lines (without their newline) differ that look the same; nothing for the same line and for
    lines that look different."""
    if removed == added or _folded(removed) != _folded(added):
        return ()
    return tuple(name for name, _ in _FOLDS if _folded(removed, but=name) != _folded(added, but=name)) or (
        "several of white space and characters that cannot be seen",
    )


def lines_that_look_the_same(lines: Sequence[DiffLine]) -> list[tuple[DiffLine, str]]:
    """Of a run of changed lines, the added ones that look like a removed one, each with why it is another."""
    removed: dict[str, DiffLine] = {}
    for line in lines:
        if line.kind == "removed":
            removed.setdefault(_folded(line.text), line)
    found: list[tuple[DiffLine, str]] = []
    for line in lines:
        old = removed.get(_folded(line.text)) if line.kind == "added" else None
        if old is None:
            continue
        why = [*unseen_changes(old.text, line.text)]
        if old.has_newline != line.has_newline:
            why.append("newline at the end")
        if why:
            found.append((line, ", ".join(why)))
    return found


def _folded(text: str, but: str = "") -> str:
    for name, fold in _FOLDS:
        if name != but:
            text = fold(text)
    return text
