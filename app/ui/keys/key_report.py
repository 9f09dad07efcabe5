"""`tidegate doctor keys`: what the terminal sends for a key, and what that key does in the workspace."""

import codecs
import os
import re
import select
import sys
import termios
import tty
from collections.abc import Iterator

from textual import events
from textual._xterm_parser import XTermParser
from textual.binding import Binding
from textual.widgets import TextArea

from app.ui.keys.actions import SCOPE_TITLES, in_scope
from app.ui.keys.keymap import Keymap, keys_of, load_keymap
from app.ui.keys.labels import key_label
from app.ui.widgets.writing_area import WritingArea

_END = "q"
_BEGIN = (
    f"Press keys to see what this terminal sends and what they do in the workspace. {_END} ends, and so does "
    "Ctrl+C twice."
)
# As Textual asks the terminal: all keys in kitty's protocol, where that is known, and pastes marked.
_ASK, _TAKE_BACK = "\x1b[>25u\x1b[?2004h", "\x1b[?2004l\x1b[<u"
_MODIFIERS = re.compile(r"(left|right)_(shift|control|alt|super|hyper|meta)|caps_lock|num_lock")
_QUIET_SECONDS = 0.15  # after an Esc, before it is taken for the key and not for the start of a sequence


class KeyReader:
    """The keys in what a terminal sends, each with the characters that it was."""

    def __init__(self) -> None:
        self._parser = XTermParser()
        self._sent = ""

    def feed(self, text: str) -> Iterator[tuple[str, events.Event]]:
        """What `text` completes."""
        for character in text:
            self._sent += character
            yield from self._told(self._parser.feed(character))

    def tick(self) -> Iterator[tuple[str, events.Event]]:
        """What silence completes; to be called when nothing came for a while."""
        yield from self._told(self._parser.tick())

    def _told(self, found: object) -> Iterator[tuple[str, events.Event]]:
        for event in found:  # type: ignore[attr-defined]
            is_modifier = isinstance(event, events.Key) and _MODIFIERS.fullmatch(event.key)
            if isinstance(event, events.Key | events.Paste) and not is_modifier:
                yield self._sent, event
            self._sent = ""


def report(sent: str, event: events.Event, keymap: Keymap) -> list[str]:
    """The lines about one key, or one paste."""
    codes = " ".join(f"{byte:02x}" for byte in sent.encode())
    if isinstance(event, events.Paste):
        return [f"A paste of {len(event.text)} characters: it goes into the field where text is written."]
    assert isinstance(event, events.Key)
    lines = [f"{key_label(event.key)}   Textual: {event.key}   bytes: {codes}"]
    for scope, title in SCOPE_TITLES.items():
        for action in in_scope(scope):
            if event.key in keys_of(action.id, keymap):
                lines.append(f"    {title}: {action.description} ({action.id})")
    if event.is_printable:
        lines.append("    Where text is written: it is typed")
    lines += [f"    Where text is written: {name}" for name in _editing(event.key)]
    return lines if len(lines) > 1 else [*lines, "    does nothing in the workspace"]


def _editing(key: str) -> Iterator[str]:
    """What a key does in a text that is written, beside the actions of the table."""
    for binding in (*WritingArea.BINDINGS, *TextArea.BINDINGS):
        # Some the message leaves to the workspace.
        if (
            isinstance(binding, Binding)
            and key in binding.key.split(",")
            and binding.action not in ("select_line", "select_all", "undo")
        ):
            yield binding.action.partition("(")[0].replace("_", " ")


def run() -> int:
    """Show keys until the user ends it; 0. Without a terminal it says so; 2."""
    keymap = load_keymap()
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("tidegate doctor keys: there is no terminal whose keys could be shown", file=sys.stderr)
        return 2
    print(_BEGIN)
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    print(end=_ASK, flush=True)
    try:
        tty.setraw(terminal, termios.TCSANOW)
        # The screen is ours to write to, line by line.
        settings = termios.tcgetattr(terminal)
        settings[tty.OFLAG] |= termios.OPOST | termios.ONLCR
        termios.tcsetattr(terminal, termios.TCSANOW, settings)
        _show(terminal, keymap)
    finally:
        print(end=_TAKE_BACK, flush=True)
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
    return 0


def _show(terminal: int, keymap: Keymap) -> None:
    reader, decoder = KeyReader(), codecs.getincrementaldecoder("utf-8")("replace")
    last = ""
    while True:
        ready, _, _ = select.select([terminal], [], [], _QUIET_SECONDS)
        data = os.read(terminal, 4096) if ready else b""
        if ready and not data:
            return
        found = reader.feed(decoder.decode(data)) if data else reader.tick()
        for sent, event in found:
            print("\n".join(report(sent, event, keymap)), flush=True)
            key = event.key if isinstance(event, events.Key) else ""
            if key == _END or key == last == "ctrl+c":
                return
            last = key
