"""The terminal while the application is still being imported: shows a picture, and keeps the keys that come.

    with holding(picture):
        ...                     # imports and opens what is wanted; that takes the terminal over

Whatever ends the block before somebody took the terminal over puts it back as it was.
"""

import os
import re
import select
import signal
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from app.first_frame.picture import Field, Picture

ENTER_ALTERNATE_SCREEN = "\x1b[?1049h"
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_LEAVE_ALTERNATE_SCREEN = "\x1b[?1049l"
_PLAIN = "\x1b[0m"
_OPEN_SEQUENCE = re.compile(rb"\x1b(?:\[[0-9;<?]*|O)?\Z")
"""The end of what was read, where a key's sequence is not complete."""
_PATIENCE = 0.05
"""Seconds that the rest of a key is waited for; a terminal sends it in one go."""
_DELETE = "\x7f"
_NARROW = 0x300
"""Characters below are one cell wide. Others are drawn by the application alone."""
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class HeldTerminal:
    """The terminal on standard input and output, from `__init__` until `take` or `give_back`."""

    def __init__(self, picture: Picture | None) -> None:
        self.shows_picture = picture is not None
        self._input = sys.stdin.fileno()
        self._output = sys.stdout.fileno()
        self.attributes = termios.tcgetattr(self._input)
        """As they were found."""
        self._typed = b""
        self._is_held = True
        self._before = [signal.signal(number, self._end) for number in _ENDING]
        termios.tcsetattr(self._input, termios.TCSANOW, _quiet(self.attributes, self._input))
        self._wake, self._waker = os.pipe()
        self._echo = _Echo(picture.field) if picture is not None and picture.field is not None else None
        if picture is not None:
            self._write(ENTER_ALTERNATE_SCREEN + _HIDE_CURSOR + picture.drawing)
        self._thread = threading.Thread(target=self._read, name="early-keys", daemon=True)
        self._thread.start()

    def take(self) -> str:
        """Stop, with the picture still there and the terminal quiet, for an application that goes on from that;
        returns what was typed, as the terminal sent it."""
        self._stop()
        return self._typed.decode(errors="replace")

    def give_back(self) -> None:
        """Put the terminal back as it was, if it is still held."""
        if not self._is_held:
            return
        self._stop()
        if self.shows_picture:
            with suppress(OSError):
                self._write(_PLAIN + _LEAVE_ALTERNATE_SCREEN + _SHOW_CURSOR)
        with suppress(termios.error):
            termios.tcsetattr(self._input, termios.TCSANOW, self.attributes)

    def _stop(self) -> None:
        self._is_held = False
        os.write(self._waker, b"\0")
        self._thread.join()
        os.close(self._wake)
        os.close(self._waker)
        for number, handler in zip(_ENDING, self._before, strict=True):
            signal.signal(number, handler)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        self.give_back()
        os.kill(os.getpid(), number)

    def _read(self) -> None:
        while self._wake not in (ready := select.select([self._input, self._wake], [], [])[0]):
            read = os.read(self._input, 4096) if ready else b""
            if not read:
                return
            while _is_part(read) and select.select([self._input], [], [], _PATIENCE)[0]:
                read += os.read(self._input, 4096)
            self._typed += read
            if self._echo is not None:
                self._write(self._echo.of(read.decode(errors="replace")))

    def _write(self, text: str) -> None:
        data = memoryview(text.encode())
        while data:
            data = data[os.write(self._output, data) :]


class _Echo:
    """Draws what is typed into the message's field, as far as it is plain text in one line."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self._text = ""
        self._is_over = False

    def of(self, typed: str) -> str:
        """What to send to the terminal when `typed` came."""
        before = self._text
        for character in typed:
            if self._is_over:
                break
            if character == _DELETE:
                self._text = self._text[:-1]
            elif (
                character.isprintable()
                and ord(character) < _NARROW
                and len(self._text) + 2 < self._field.width
                and (self._text or character not in "/!@")  # these open a list, or mean a command
            ):
                self._text += character
            else:
                self._is_over = True
        if self._text == before:
            return ""
        field = self._field
        rest = " " * (field.width - len(self._text) - 1)
        place = f"\x1b[{field.y + 1};{field.x + 1}H"
        return f"{place}{field.text}{self._text}{field.cursor} {_PLAIN}{field.text}{rest}{_PLAIN}"


def _is_part(read: bytes) -> bool:
    """Whether `read` ends in the middle of a character or of a key's sequence."""
    if _OPEN_SEQUENCE.search(read):
        return True
    # The lead byte of the last character says how many bytes it has.
    tail = read[-3:]
    for back in range(1, len(tail) + 1):
        lead = tail[-back]
        if lead & 0xC0 != 0x80:
            return back < (4 if lead >= 0xF0 else 3 if lead >= 0xE0 else 2 if lead >= 0xC0 else 1)
    return False


def _quiet(attributes: list[Any], terminal: int) -> list[Any]:
    """`attributes` without echo, and with every key as it comes; Ctrl+C still ends the start."""
    modes, output, hardware, local, input_speed, output_speed, found = attributes
    characters = list(found)
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    characters[termios.VSUSP] = bytes([os.fpathconf(terminal, "PC_VDISABLE") & 0xFF])
    modes &= ~(termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR)
    local &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
    return [modes, output, hardware, local, input_speed, output_speed, characters]


_held: HeldTerminal | None = None


@contextmanager
def holding(picture: Picture | None) -> Iterator[None]:
    """Hold the terminal while the block opens what is to have it."""
    global _held  # noqa: PLW0603  a process has one terminal
    _held = here = HeldTerminal(picture)
    try:
        yield
    finally:
        here.give_back()
        _held = None


def take_over() -> HeldTerminal | None:
    """The terminal that is held, once: whoever asks calls `take` and has it from then on."""
    global _held
    held, _held = _held, None
    return held
