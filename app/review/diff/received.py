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
_WORDS = re.compile(rb"\[-[^\n]*-\]|\{\+[^\n]*\+\}")
"""How git marks words in a line."""
_PORCELAIN = re.compile(rb"^~$", re.MULTILINE)
"""Where each word has a line, this one ends a line of the file; in a hunk of lines no line begins so."""
_OBEYED = re.compile(
    rb"\x1b(?!\[[0-9;]*[mK])|\r(?!(?:\x1b\[[0-9;]*[mK])*\n)|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]|\xc2[\x80-\x9f]"
)
"""What a terminal obeys beside colours and the end of a line."""
_HEADER_WITH_CR = re.compile(r"^(?:diff |--- |@@ )[^\n]*\r\n", re.MULTILINE)


def without_colours(data: bytes) -> bytes:
    """A diff without the colours that git gave it. Escape codes in a diff that it did not colour stay."""
    return _COLOUR.sub(b"", data) if _COLOURED.search(data) else data


def only_colours(data: bytes) -> bytes:
    """What is passed on to a terminal: colours stay, anything else that it would obey becomes U+FFFD."""
    return _OBEYED.sub("\ufffd".encode(), data)


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
    if _PORCELAIN.search(hunk):
        return True
    try:
        changes = parse_diff(b"--- a\n+++ b\n" + hunk)
    except ReviewError:
        return bool(_WORDS.search(hunk)) or not re.search(rb"^[-+]", hunk, re.MULTILINE)
    return not any(line.kind != "context" for change in changes for part in change.hunks for line in part.lines)
