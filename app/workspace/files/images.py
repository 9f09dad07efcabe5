"""What an image is, from the first bytes of its file: the kind and the size in pixels."""

import struct
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """`kind` is the format's usual name."""

    kind: str
    width: int
    height: int


def image_facts(data: bytes) -> ImageFacts | None:
    """What the image in `data` is; None where it is none that is known. Nothing is decoded."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return ImageFacts("PNG", *struct.unpack(">II", data[16:24]))
        if data.startswith((b"GIF87a", b"GIF89a")):
            return ImageFacts("GIF", *struct.unpack("<HH", data[6:10]))
        if data.startswith(b"BM") and data[14:18] == b"\x28\0\0\0":
            width, height = struct.unpack("<ii", data[18:26])
            return ImageFacts("BMP", width, abs(height))
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp(data)
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
    except struct.error:
        pass  # cut off before its size
    return None


def _webp(data: bytes) -> ImageFacts | None:
    """By the first chunk (RFC 9649)."""
    chunk = data[12:16] if len(data) >= 30 else b""
    if chunk == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return ImageFacts("WebP", width, height)
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return ImageFacts("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if chunk == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return ImageFacts("WebP", width & 0x3FFF, height & 0x3FFF)
    return None


def _jpeg(data: bytes) -> ImageFacts | None:
    """By the frame header, behind the segments before it (ITU T.81)."""
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return ImageFacts("JPEG", width, height)
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
