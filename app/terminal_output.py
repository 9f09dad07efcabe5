"""What a program wrote for a terminal, as plain text."""

import re

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_]|[()][A-Za-z0-9])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_UNFINISHED = re.compile(r"(?:\r|\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[()])?)\Z")
_LONGEST_ESCAPE = 4096  # characters


def clean(text: str) -> str:
    """Output as plain text: no escape sequences or control characters, and of a line that was redrawn only the
    last state."""
    text = _ESCAPES.sub("", text).replace("\r\n", "\n")
    if "\r" in text:
        text = "\n".join(_last_state(line) for line in text.split("\n")).replace("\r", "\n")
    return _CONTROLS.sub("", text)


def _last_state(line: str) -> str:
    """`line` from behind the last carriage return that has text behind it."""
    return line[line.rfind("\r", 0, len(line) - 1) + 1 :] if line else line


class Cleaner:
    """`clean` for text that comes in pieces, cut anywhere. Of a line that is redrawn in pieces, each state is a
    line of its own: what was told cannot be taken back."""

    def __init__(self) -> None:
        self._held = ""
        self._is_in_line = False

    def add(self, piece: str) -> str:
        """What can be told now."""
        text = self._held + piece
        unfinished = _UNFINISHED.search(text)
        # A longer one is no escape sequence.
        is_short = unfinished is not None and len(text) - unfinished.start() <= _LONGEST_ESCAPE
        self._held = text[unfinished.start() :] if unfinished and is_short else ""
        return self._told(text[: len(text) - len(self._held)])

    def end(self) -> str:
        """What was held back in case it went on."""
        text, self._held = self._held, ""
        return self._told(text)

    def _told(self, text: str) -> str:
        is_redrawn = self._is_in_line and text.startswith("\r") and not text.startswith("\r\n")
        told = ("\n" if is_redrawn else "") + clean(text)
        self._is_in_line = not told.endswith("\n") if told else self._is_in_line
        return told
