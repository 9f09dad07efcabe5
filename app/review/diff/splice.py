"""Replaces a hunk's new side in the file by another text."""

from itertools import pairwise

from app.review.diff.compare import is_opaque
from app.review.disk import Disk
from app.review.errors import ReviewError
from app.review.model import FileChange, FileImage, Hunk

_BY_HAND = "edit the file itself"


def new_side(change: FileChange, hunk: Hunk) -> str:
    """The text that a hunk's lines are after the change, context included; each ends in "\\n" alone. Raises
    ReviewError for a hunk without lines and for text that is no UTF-8."""
    if not hunk.lines or change.kind == "combined":
        raise ReviewError(f"There are no lines of {change.path} here", _BY_HAND)
    texts = [line.text for line in hunk.lines if line.kind != "removed"]
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise ReviewError(f"{change.path} is no UTF-8 text", _BY_HAND) from error
    line_ending(change.path, hunk)
    return "".join(text.removesuffix("\r") + "\n" for text in texts)


def splice(disk: Disk, change: FileChange, hunk: Hunk, text: str) -> None:
    """Replace a hunk's new side in its file by `text`; "" leaves no line of it. Line endings stay as the hunk's
    are, and so does a missing newline at the file's end. Raises ReviewError where the file no longer holds the
    hunk's lines in one piece; then nothing is written."""
    try:
        image = disk.read(change.path)
        if image is None or is_opaque(image.data):
            raise ReviewError(f"{change.path} is no text file any more", "look again (r)")
        new = FileImage(spliced(change.path, image.data, hunk, text), image.mode)
        if not disk.exchange(change.path, image, new):
            raise _overtaken(change.path)
    except OSError as error:
        raise ReviewError(f"{change.path} cannot be written", error.strerror or str(error)) from error


def spliced(path: str, data: bytes, hunk: Hunk, text: str) -> bytes:
    """`data` with `text` in the place of a hunk's new side; see `splice`. Raises ReviewError."""
    # A last line without newline counts as a line; a file that ends in one has nothing behind it.
    lines = data.split(b"\n")
    ends_with_newline = not lines[-1]
    if ends_with_newline:
        lines.pop()
    numbers = [line.after_number or 0 for line in hunk.lines if line.kind != "removed"]
    expected = [line.text.encode("utf-8", "surrogateescape") for line in hunk.lines if line.kind != "removed"]
    if any(second != first + 1 for first, second in pairwise(numbers)):
        raise ReviewError("Lines of another change lie between these", _BY_HAND)
    # A side without lines is named by the line in front of it.
    start = numbers[0] - 1 if numbers else hunk.after_start
    end = start + len(expected)
    if lines[start:end] != expected:
        raise _overtaken(path)
    ending = line_ending(path, hunk) or (b"\r\n" if b"\r\n" in data else b"\n")
    new = [line.encode() + ending[:-1] for line in text.removesuffix("\n").split("\n")] if text else []
    whole = [*lines[:start], *new, *lines[end:]]
    if ends_with_newline or not lines:
        return b"".join(line + b"\n" for line in whole)
    # Whatever is last now has no line ending, and whatever is not has one.
    if end == len(lines) and whole:
        whole[-1] = whole[-1].removesuffix(b"\r")
    return b"\n".join(whole)


def _overtaken(path: str) -> ReviewError:
    return ReviewError(f"{path} has been changed meanwhile", "look again (r), then edit")


def line_ending(path: str, hunk: Hunk) -> bytes:
    """How the lines of a hunk's new side end, b"" where none does. Raises ReviewError for two ways."""
    found = {line.text.endswith("\r") for line in hunk.lines if line.kind != "removed" and line.has_newline}
    if len(found) > 1:
        raise ReviewError(f"{path} mixes line endings here", _BY_HAND)
    return b"" if not found else b"\r\n" if found.pop() else b"\n"
