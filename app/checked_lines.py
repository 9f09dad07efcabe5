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


def unsealed(line: bytes) -> bytes:
    """`line`, without a newline, as it was before it was sealed; unchanged where it has no checksum. Raises
    ValueError when it is not what was written."""
    seal = _SEAL.search(line[-24:])
    if seal is None:
        return line
    body = line[: len(line) - len(seal[0])]
    if int(seal[1], 16) != crc32(body):
        raise ValueError("the checksum does not fit")
    return body + b"}"
