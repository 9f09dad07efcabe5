"""Diffs as they are received: what other programs made of git's bytes before they came here."""

import codecs
import re

from app.review.diff.parse import parse_diff
from app.review.errors import ReviewError

# git colours what it sends to a pager.
_COLOUR = re.compile(rb"\x1b\[[0-9;]*[mK]")
_COLOURED = re.compile(rb"^\x1b\[[0-9;]*m(?:diff |@@|--- |commit )", re.MULTILINE)
_HUNK = re.compile(rb"^@@ -\d", re.MULTILINE)
_NEXT = re.compile(rb"^(?:@@ -\d|diff )", re.MULTILINE)
_WORDS = re.compile(rb"\[-[^\n]*-\]|\{\+[^\n]*\+\}|^~$", re.MULTILINE)
"""How git marks words, by themselves or as lines (porcelain)."""
_HEADER_WITH_CR = re.compile(r"^(?:diff |--- |@@ )[^\n]*\r\n", re.MULTILINE)


def without_colours(data: bytes) -> bytes:
    """A diff without the colours that git gave it. Escape codes in a diff that it did not colour stay."""
    return _COLOUR.sub(b"", data) if _COLOURED.search(data) else data


def as_utf8(data: bytes) -> bytes:
    """A patch that a Windows shell redirected, which makes UTF-16 and CRLF of everything, as git wrote it; any
    other one as it is."""
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data
    try:
        text = data.decode("utf-16")
    except UnicodeDecodeError:
        return data
    return (text.replace("\r\n", "\n") if _HEADER_WITH_CR.search(text) else text).encode()


def is_word_diff(data: bytes) -> bool:
    """Whether the first hunk is one of `git diff --word-diff`, whose lines are not those of a file."""
    start = _HUNK.search(data)
    if start is None:
        return False
    end = _NEXT.search(data, start.end())
    hunk = data[start.start() : end.start() if end else len(data)]
    try:
        changes = parse_diff(b"--- a\n+++ b\n" + hunk)
    except ReviewError:
        return bool(_WORDS.search(hunk)) or not re.search(rb"^[-+]", hunk, re.MULTILINE)
    return not any(line.kind != "context" for change in changes for part in change.hunks for line in part.lines)
