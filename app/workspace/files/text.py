"""Bytes to text and back: encodings, byte order marks, line endings. Nothing here touches the disk."""

import codecs
import re
from dataclasses import dataclass

from app.workspace.files.encodings import detected_encoding

# The longer marks first: UTF-32's little-endian mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE_ENDING = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Text:
    """A text file's content. `raw` keeps the file's own line endings; `mark` is its byte order mark."""

    raw: str
    encoding: str = "utf-8"
    mark: bytes = b""

    @property
    def normal(self) -> str:
        """The text with "\\n" for every line ending."""
        return _LINE_ENDING.sub("\n", self.raw)

    @property
    def line_ending(self) -> str:
        """The ending most lines have; "\\n" where there is none."""
        return prevailing_line_ending(self.raw)

    def encode(self) -> bytes:
        """The inverse of `decode`. Raises UnicodeEncodeError for characters the encoding lacks."""
        return self.mark + self.raw.encode(self.encoding)


def prevailing_line_ending(raw: str) -> str:
    """The line ending that occurs most often in `raw`, "\\n" where there is none."""
    crlf = raw.count("\r\n")
    counts = {"\n": raw.count("\n") - crlf, "\r\n": crlf, "\r": raw.count("\r") - crlf}
    return max(counts, key=lambda ending: counts[ending])


def is_binary(data: bytes) -> bool:
    """Whether `data`, which is no UTF, is no text in another encoding either."""
    # Eight-bit encodings accept nearly anything: without a mark, control bytes mean a binary file.
    head = data[:8192]
    return b"\0" in data or sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head) > len(head) // 50


def decode(data: bytes) -> Text | None:
    """The text in `data`, or None when it is not text or its encoding cannot be told. What it returns encodes
    to the very same bytes."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                text = Text(data[len(mark) :].decode(encoding), encoding, mark)
            except UnicodeDecodeError:
                continue
            return text if text.encode() == data else None
    if b"\0" in data:
        return None
    try:
        return Text(data.decode())
    except UnicodeDecodeError:
        if is_binary(data):
            return None
    found = detected_encoding(data)
    return None if found is None else Text(data.decode(found), found)
