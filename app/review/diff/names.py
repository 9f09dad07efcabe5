"""File names as diffs write them: marked, prefixed, quoted as in C, or two on one line."""

import re

_ESCAPE = re.compile(rb'\\([0-7]{3}|[abtnvfr"\\])')
_NAMED_ESCAPES = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}


def marked_path(raw: bytes, prefix: bytes) -> str:
    """The name of a "---" or "+++" line behind its mark, without the `prefix` that git gave it."""
    # What follows a tab is a time stamp, or nothing: git ends a name that has spaces with a tab.
    text = raw.rstrip(b"\r\n")
    name = unquote(text) if text.startswith(b'"') else text.split(b"\t")[0]
    return name.removeprefix(prefix).decode("utf-8", "surrogateescape")


def plain_path(raw: bytes) -> str:
    """The name of a line that says nothing else."""
    return unquote(raw.rstrip(b"\r\n")).decode("utf-8", "surrogateescape")


def unquote(name: bytes) -> bytes:
    """Undo git's C-style quoting; a name without quotes is returned unchanged."""
    if not (len(name) >= 2 and name.startswith(b'"') and name.rstrip().endswith(b'"')):
        return name

    def plain(found: re.Match[bytes]) -> bytes:
        escape = found.group(1)
        if len(escape) == 3:
            return bytes([int(escape, 8) & 0xFF])
        return _NAMED_ESCAPES.get(escape, escape)

    return _ESCAPE.sub(plain, name.rstrip()[1:-1])


def quote(name: bytes) -> bytes:
    """git's C-style quoting of a name, where it needs any."""
    if all(32 <= byte < 127 and byte not in b'"\\' for byte in name):
        return name
    named = {value: key for key, value in _NAMED_ESCAPES.items()}
    quoted = bytearray(b'"')
    for byte in name:
        one = bytes([byte])
        if one in named:
            quoted += b"\\" + named[one]
        elif one in (b'"', b"\\"):
            quoted += b"\\" + one
        elif 32 <= byte < 127:
            quoted += one
        else:
            quoted += b"\\%03o" % byte
    return bytes(quoted + b'"')


def git_names(raw: bytes) -> tuple[bytes, bytes]:
    """The two names of a "diff --git" line, as written. Unquoted names with spaces are ambiguous unless both
    are the same, which they are wherever no later line names them."""
    text = raw.rstrip(b"\r\n")
    if text.startswith(b'"'):
        end = re.match(rb'"(?:[^"\\]|\\.)*"', text)
        first = end.group(0) if end else text
        second = text[len(first) + 1 :]
    elif text.endswith(b'"'):
        at = text.find(b' "')
        first, second = text[:at], text[at + 1 :]
    else:
        middle = len(text) // 2
        first, second = text[:middle], text[middle + 1 :]
        if first.partition(b"/")[2] != second.partition(b"/")[2]:
            first, _, second = text.partition(b" b/")
            second = b"b/" + second
    return first, second


def prefixes(first: bytes, second: bytes) -> tuple[bytes, bytes]:
    """What stands before the two names of one file: a/ and b/, nothing (diff.noprefix), the initials of what is
    compared (diff.mnemonicPrefix), or the user's own words (diff.srcPrefix)."""
    before, after = unquote(first), unquote(second)
    if before.startswith(b"a/") and after.startswith(b"b/"):
        return b"a/", b"b/"
    start, _, name = before.partition(b"/")
    other_start, _, other = after.partition(b"/")
    # Of a renamed file other lines give the names.
    return (start + b"/", other_start + b"/") if start != other_start and name == other else (b"", b"")
