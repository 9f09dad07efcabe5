"""The agent's hands on files: what it has read, and writing so that review knows before the disk changes."""

import hashlib
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from app.agent.errors import ToolFailure
from app.errors import TidegateError
from app.model.messages import SeenFile
from app.review.model import FileImage
from app.review.port import ChangeRecorder
from app.workspace.files.reading import FileMissing, NotReadable, TooLarge, read_bytes
from app.workspace.files.text import Text, decode, is_binary
from app.workspace.files.writing import write_bytes
from app.workspace.workspace import Location

_MARK = "\ufeff"
_LARGEST_SEEN = 4 << 20
"""Bytes of a file that edits are held to: the engine takes a second to index so many, measured on one Linux
core, and five times their memory."""
_MOST_SEEN = 16 << 20
"""Bytes of all of them, those seen last first."""
Unsaved = Callable[[Path], str | None]
"""What the user's editor has of a file, None where it says nothing. Blocks. Raises ToolFailure."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What a file was when the model last saw it, and the paths that lead to it."""

    digest: bytes
    paths: tuple[str, ...]


class Files:
    """Reads and writes for the tools, in one session. Methods block: call them in a thread.

    A file's digest is remembered when the agent reads or writes it. If the disk has something else later, then
    someone else wrote it, and what the agent believes of the file is stale. What the user has in an editor and
    has not saved is read, and never written over.
    """

    def __init__(self, recorder: ChangeRecorder, unsaved: Unsaved | None = None) -> None:
        self._recorder = recorder
        self._unsaved = unsaved
        self._known: dict[Path, _Known] = {}
        """Those seen last come last."""
        self._replaced: dict[Path, set[str]] = {}
        """Contents that we replaced since the editor last had the current file; it may still show one."""

    def read(self, location: Location) -> Text | None:
        """The file's text, None where there is no file. Raises ToolFailure for anything that is not text."""
        image = self._image(location)
        if image is None:
            return None
        text = decode(image.data)
        if text is None:
            kind = "a binary file" if is_binary(image.data) else "in an encoding that cannot be told,"
            raise ToolFailure(f"{location.path} is {kind} and cannot be read as text.")
        return self._in_editor(location, text)

    def _in_editor(self, location: Location, saved: Text) -> Text:
        """The file as the user sees it."""
        shown = None if self._unsaved is None else self._unsaved(location.absolute)
        if shown is None:
            return saved
        data = saved.encode()
        # Some editors know only UTF-8, and show of other encodings what they can.
        readings = (saved.normal, data.decode(errors="replace"), data.decode(errors="ignore"))
        if _bare(shown) in {_bare(reading) for reading in readings}:
            self._replaced.pop(location.absolute, None)
            return saved
        if _bare(shown) in self._replaced.get(location.absolute, ()):
            return saved
        text = Text(shown.removeprefix(_MARK)).normal
        return replace(saved, raw=text.replace("\n", saved.line_ending))

    def afresh(self) -> "Files":
        """The same for somebody who has seen nothing yet."""
        files = Files(self._recorder, self._unsaved)
        files._replaced = self._replaced
        return files

    def saw(self, location: Location, text: Text) -> None:
        """The model has seen the file with the content `text`."""
        self._know(location, _digest(_bytes(text)))

    def _know(self, location: Location, digest: bytes) -> None:
        before = self._known.pop(location.absolute, None)
        named = (location.path, str(location.absolute), *((location.named,) if location.named else ()))
        paths = dict.fromkeys((*named, *(before.paths if before else ())))
        self._known[location.absolute] = _Known(digest, tuple(paths))

    def unchanged(self) -> tuple[SeenFile, ...]:
        """The files that still are as the model last saw them, as far as they are not too large."""
        seen: list[SeenFile] = []
        room = _MOST_SEEN
        for absolute, known in reversed(self._known.items()):
            try:
                data = self._data(absolute, known.paths[0], min(room, _LARGEST_SEEN))
            except NotReadable:
                continue
            text = decode(data) if _digest(data) == known.digest else None
            if text is not None:
                seen.append(SeenFile(known.paths, text.normal))
                room -= len(data)
        return tuple(seen)

    def forget(self) -> None:
        """The model can no longer know what it was shown."""
        self._known.clear()

    def has_seen(self, location: Location) -> bool:
        """Whether the model was ever shown this file, or wrote it."""
        return location.absolute in self._known

    def check_fresh(self, location: Location, text: Text) -> None:
        """Raises ToolFailure when the file is not what the model was last shown."""
        known = self._known.get(location.absolute)
        if known is not None and known.digest != _digest(_bytes(text)):
            raise _stale(location)

    def write(self, location: Location, before: Text | None, after: Text) -> None:
        """Make `after` the file's content in place of `before`: first noted by review, then on disk.

        Raises ToolFailure when the file is no longer `before`, or cannot be written.
        """
        data = _encode(location, after)
        found = self._image(location)
        if (found.data if found else None) != (_bytes(before) if before else None):
            saved = decode(found.data) if found else None
            if saved is not None and self._in_editor(location, saved) != saved:
                raise ToolFailure(
                    f"{location.path} has unsaved changes in the user's editor. Ask the user to save it; do "
                    "not change it until then."
                )
            raise _stale(location)
        self._put(location, found, FileImage(data, found.mode if found else 0o100644))
        if self._unsaved is not None and before is not None:
            self._replaced.setdefault(location.absolute, set()).add(_bare(before.normal))
        if found is None or not found.data or location.absolute in self._known:
            # What the model knew of the file and what it wrote make up all of it.
            self._know(location, _digest(data))

    def _put(self, location: Location, found: FileImage | None, image: FileImage) -> None:
        """Put `image` in the place of what was `found`."""
        holder = next(parent for parent in location.absolute.parents if parent.exists())
        if not holder.is_dir():
            raise ToolFailure(f"{location.path} cannot be made: {holder.name} is a file, not a directory.")
        if location.is_inside:
            try:
                self._recorder.record(location.path, found, image)
            except TidegateError as error:
                raise ToolFailure(f"{location.path} was not changed: {error}.") from error

        def check() -> None:
            now = self._image(location)
            if (now.data if now else None) != (found.data if found else None):
                raise _stale(location)

        try:
            write_bytes(location.absolute, image.data, check)
        except TidegateError as error:
            raise ToolFailure(f"{location.path} was not changed: {error}.") from error

    def _data(self, absolute: Path, name: str, limit: int) -> bytes:
        """The bytes of a file. Raises NotReadable."""
        return read_bytes(absolute, name, limit)[0]

    def _image(self, location: Location) -> FileImage | None:
        try:
            data, found = read_bytes(location.absolute, location.path)
        except FileMissing:
            return None
        except TooLarge as error:
            raise ToolFailure(f"{error}. Use grep_search, or a command that prints a part of it.") from error
        except NotReadable as error:
            raise ToolFailure(f"{error}.") from error
        return FileImage(data, 0o100755 if found.st_mode & stat.S_IXUSR else 0o100644)


def _stale(location: Location) -> ToolFailure:
    return ToolFailure(f"{location.path} was changed by someone else since you read it. Read it again first.")


def _encode(location: Location, text: Text) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ToolFailure(
            f"{location.path} is encoded in {text.encoding}, which cannot hold {error.object[error.start]!r}. "
            "Use other characters."
        ) from error


def _bytes(text: Text) -> bytes:
    """As the file has it. Where its encoding cannot hold what an editor has, as no file of that encoding is."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.raw.encode(errors="replace")


def _bare(text: str) -> str:
    """Text without what editors add to it, or leave out, on their own account."""
    return Text(text.removeprefix(_MARK)).normal.removesuffix("\n")


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
