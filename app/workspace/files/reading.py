"""Opening a file that may be anything: huge, binary, a pipe, a device, gone, forbidden. Never blocks."""

import errno
import os
import stat
from pathlib import Path

from app.workspace.errors import WorkspaceError
from app.workspace.files.images import image_facts
from app.workspace.files.text import decode, is_binary
from app.workspace.model import Document

MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
"""Bytes of a file that is opened as text, whole in memory; a larger one is described."""


class NotReadable(WorkspaceError):
    """A path does not lead to a file whose bytes can be read."""


class FileMissing(NotReadable):
    """Nothing is at the path."""


class TooLarge(NotReadable):
    """The file has more bytes than the reader takes."""

    def __init__(self, name: str, size: int, limit: int) -> None:
        self.size = size
        super().__init__(
            f"{name} has {describe_size(size)}, more than the {describe_size(limit)} that are read"
        )


def describe_size(size: int) -> str:
    """`size` in bytes, for a person."""
    amount, unit = float(size), "bytes"
    for larger in ("KB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"


def _kind(mode: int) -> str:
    for test, name in (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISBLK, "a block device"),
    ):
        if test(mode):
            return name
    return "not a regular file"


def read_bytes(path: Path, name: str, limit: int = MAX_DOCUMENT_BYTES) -> tuple[bytes, os.stat_result]:
    """The bytes of the regular file at `path`, called `name` in errors, and its stat at the time of reading.

    Raises FileMissing, TooLarge (more than `limit` bytes) or NotReadable.
    """
    try:
        # Looked at before it is opened, for opening a device can act on it; and again behind the descriptor,
        # for the name can have been given to something else in between.
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise NotReadable(f"{name} is {_kind(found.st_mode)}, not a file")
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise NotReadable(f"{name} is {_kind(found.st_mode)}, not a file")
            if found.st_size > limit:
                raise TooLarge(name, found.st_size, limit)
            data: bytes | None = file.read(limit + 1)
            if data is None:
                raise NotReadable(f"{name} is a file of the kernel's that has nothing to tell yet")
            if len(data) > limit:
                raise TooLarge(name, len(data), limit)
            return data, found
    except FileNotFoundError as error:
        what = "is a symbolic link that leads nowhere" if path.is_symlink() else "does not exist"
        raise FileMissing(f"{name} {what}") from error
    except NotADirectoryError as error:
        raise FileMissing(f"{name} does not exist: a part of its path is a file") from error
    except PermissionError as error:
        raise NotReadable(f"{name} may not be read by you") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotReadable(f"{name} is a symbolic link that leads back to itself") from error
        raise NotReadable(f"{name} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise NotReadable(f"{name!r} is not a path") from error


def read_document(path: Path, name: str, limit: int = MAX_DOCUMENT_BYTES) -> Document:
    """The file at `path` as a Document called `name`. Whatever is wrong with it is said in its notice."""
    try:
        data, found = read_bytes(path, name, limit)
    except TooLarge as error:
        return Document(name, None, str(error), size=error.size)
    except NotReadable as error:
        return Document(name, None, str(error))
    text = decode(data)
    if text is None:
        image = image_facts(data)
        if image is not None:
            words = f"{name} is a {image.kind} image of {image.width:,} × {image.height:,} pixels"
            return Document(name, None, f"{words}, {describe_size(len(data))}", size=found.st_size, image=image)
        kind = "a binary file" if is_binary(data) else "text in an encoding that cannot be told,"
        return Document(name, None, f"{name} is {kind} of {describe_size(len(data))}", size=found.st_size)
    return Document(name, text.normal, "", text.encoding, bool(text.mark), text.line_ending, found.st_size)
