"""A file that is being edited: what is known of it on the disk, and saving it without writing over anything."""

from pathlib import Path

from app.editing.errors import CannotEncode, DiskChanged, NotEditable
from app.workspace.files.line_endings import with_line_endings
from app.workspace.files.reading import FileMissing, read_bytes
from app.workspace.files.text import Text, decode
from app.workspace.files.writing import write_bytes

LARGEST = 2_000_000
"""Bytes of a file that can be edited here: with more, a key takes longer than a frame."""
MOST_LINES = 50_000
"""Lines of one, likewise."""
LONGEST_LINE = 20_000
"""Characters of its longest line, likewise."""


class OpenFile:
    """The file at `path`, called `name`. `data` is what it held when it was last read or written, None where
    there was none; `text` is that as text. Methods block on the disk: call them in a thread.

    Raises NotEditable, and NotReadable.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.data: bytes | None = None
        self.text = Text("")
        self.normal = ""
        """The text with "\\n" for every line ending."""
        self.adopt(self.read())

    def read(self) -> bytes | None:
        """What the disk has now. Raises NotReadable."""
        try:
            return read_bytes(self.path, self.name)[0]
        except FileMissing:
            return None

    def adopt(self, data: bytes | None) -> None:
        """Take `data` for what the file holds. Raises NotEditable."""
        text = self.decoded(data)
        self.data, self.text, self.normal = data, text, text.normal

    def decoded(self, data: bytes | None) -> Text:
        """`data` as text; a file that is not there is to be written as the last one was. Raises NotEditable."""
        if data is None:
            return Text("", self.text.encoding, self.text.mark)
        text = decode(data) if len(data) <= LARGEST else None
        if text is None:
            what = "is no text" if len(data) <= LARGEST else f"has more than {LARGEST:,} bytes"
            raise NotEditable(f"{self.name} {what} and can only be looked at here")
        lines = text.normal.split("\n")
        if len(lines) > MOST_LINES:
            raise NotEditable(f"{self.name} has more than {MOST_LINES:,} lines and can only be looked at here")
        if max(map(len, lines)) > LONGEST_LINE:
            words = f"has a line of more than {LONGEST_LINE:,} characters and can only be looked at here"
            raise NotEditable(f"{self.name} {words}")
        return text

    def is_saved(self, written: str) -> bool:
        """Whether `written`, whose lines end in "\\n", is what the file held when it was last looked at."""
        return self.data is not None and written == self.normal

    def in_bytes(self, written: str) -> bytes:
        """`written` as the file would have it: with its encoding, byte order mark and line endings. Raises
        CannotEncode."""
        return self._encoded(self._as_text(written))

    def _as_text(self, written: str) -> Text:
        raw = with_line_endings(self.text.raw, written)
        if Text(raw).normal != written:
            raw = written.replace("\n", self.text.line_ending)
        return Text(raw, self.text.encoding, self.text.mark)

    def _encoded(self, text: Text) -> bytes:
        try:
            return text.encode()
        except UnicodeEncodeError as error:
            character = error.object[error.start]
            raise CannotEncode(
                f"{self.name} is encoded in {text.encoding}, which has no {character!r}"
            ) from error

    def use_utf8(self) -> None:
        """Write the file in UTF-8 from now on."""
        self.text = Text(self.text.raw)

    def save(self, written: str) -> None:
        """Write the file; its mode, owner and attributes stay. Raises CannotEncode, WriteRefused, NotReadable,
        and DiskChanged where the disk has something else than it was known to have."""
        text = self._as_text(written)
        data = self._encoded(text)
        self._check()
        write_bytes(self.path, data, self._check)
        self.data, self.text, self.normal = data, text, written

    def _check(self) -> None:
        if self.read() != self.data:
            raise DiskChanged(f"{self.name} was changed by somebody else since it was opened")
