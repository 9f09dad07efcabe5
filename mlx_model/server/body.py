"""A request's body as the JSON text that it was meant to be: unpacked, without a byte order mark, and with
U+FFFD for every half of a surrogate pair, which JSON can spell and UTF-8 cannot."""

import codecs
import re
import zlib

from starlette.requests import Request

from mlx_model.errors import RequestError

_LARGEST_BODY = 64 * 2**20
"""Bytes, as sent and unpacked: a conversation of 1 M tokens has 4 to 5 MB."""
_GZIP = 16 + zlib.MAX_WBITS
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)
"""An escape of a JSON string; the group matches where it is half a pair."""


class InvalidRequest(RequestError):
    """A request does not follow the protocol; names the field."""


async def read_body(request: Request) -> bytes:
    """The JSON text of a request. Raises InvalidRequest."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise InvalidRequest("The body must be JSON, with Content-Type: application/json.")
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise InvalidRequest(
            f"The body's Content-Encoding is {encoding!r}; this server takes gzip, or a plain body."
        )
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_BODY:
            raise _too_large()
    return as_json(_unpacked(bytes(body)) if encoding == "gzip" else bytes(body))


def as_json(body: bytes) -> bytes:
    """The body without a byte order mark and without halves of surrogate pairs."""
    body = body.removeprefix(codecs.BOM_UTF8)
    if b"\\ud" not in body and b"\\uD" not in body:
        return body
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], body)


def _unpacked(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        body = unpacker.decompress(packed, _LARGEST_BODY + 1)
    except zlib.error:
        raise InvalidRequest("The body is said to be packed with gzip, but it is not.") from None
    if len(body) > _LARGEST_BODY:
        raise _too_large()
    if not unpacker.eof:
        raise InvalidRequest("The body, packed with gzip, ends too early.")
    return body


def _too_large() -> InvalidRequest:
    return InvalidRequest(f"The body is larger than {_LARGEST_BODY // 2**20} MiB.")
