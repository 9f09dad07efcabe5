"""Lines of JSON that carry a checksum, so that a flipped byte is noticed and costs one line.

The checksum (CRC-32 of all that stands before it) is the last member of the line's object. Lines of older
versions have none; of these only what is no JSON any more is noticed.
"""

import re
from zlib import crc32

_SEAL = re.compile(rb', "sum": "([0-9a-f]{8})"\}\Z')


def sealed(line: bytes, number: int | None = None) -> bytes:
    """`line`, a JSON object with members that ends in a newline, with its checksum and, where given, with its
    number as a member "at"."""
    body = line.rstrip(b"\n")[:-1]
    if number is not None:
        body += b', "at": %d' % number
    return b'%b, "sum": "%08x"}\n' % (body, crc32(body))


def is_intact(line: bytes) -> bool | None:
    """Whether `line`, without its newline, is what was written; None where it has no checksum to tell."""
    seal = _SEAL.search(line[-24:])
    return None if seal is None else int(seal[1], 16) == crc32(line[: len(line) - len(seal[0])])
