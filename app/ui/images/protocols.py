"""How a terminal is given an image to draw, by what it says of itself, and how large. Pure.

Kitty's graphics protocol (sw.kovidgoyal.net/kitty/graphics-protocol) with Unicode placeholders: the image is
sent once, and stands wherever certain characters do, which are drawn, moved and covered like any others.
iTerm2's inline images (iterm2.com/documentation-images.html) are put where the cursor is, and go when their
cells are written over.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Literal

Protocol = Literal["kitty", "iterm"]

# Terminals by the beginning of TERM, and of TERM_PROGRAM or LC_TERMINAL (which ssh hands on).
_BY_TERM: dict[str, Protocol] = {"xterm-kitty": "kitty", "xterm-ghostty": "kitty", "wezterm": "iterm"}
_BY_PROGRAM: dict[str, Protocol] = {"ghostty": "kitty", "iterm": "iterm", "wezterm": "iterm"}
# And by a variable that they set.
_BY_VARIABLE: dict[str, Protocol] = {
    "KITTY_WINDOW_ID": "kitty",
    "GHOSTTY_RESOURCES_DIR": "kitty",
    "ITERM_SESSION_ID": "iterm",
    "WEZTERM_PANE": "iterm",
}
_KINDS: dict[Protocol, frozenset[str]] = {
    "kitty": frozenset(["PNG"]),
    "iterm": frozenset(["PNG", "JPEG", "GIF", "BMP", "WebP"]),
}
"""What the terminal decodes by itself."""

_CELL = (1, 2)
"""Width and height of a cell, as a ratio: that of most fonts. The terminal keeps the image's own ratio."""
_CHUNK = 4096  # characters of Base64 in one of kitty's sequences, the most it takes
_PLACEHOLDER = "\U0010eeee"
# Kitty's marks for the numbers of rows and columns, from 0 on, as ranges of code points (rowcolumn-diacritics).
_MARKS = "".join(
    chr(code)
    for first, last in (
        *((0x305, 0x305), (0x30D, 0x30E), (0x310, 0x310), (0x312, 0x312), (0x33D, 0x33F), (0x346, 0x346)),
        *((0x34A, 0x34C), (0x350, 0x352), (0x357, 0x357), (0x35B, 0x35B), (0x363, 0x36F), (0x483, 0x487)),
        *((0x592, 0x595), (0x597, 0x599), (0x59C, 0x5A1), (0x5A8, 0x5A9), (0x5AB, 0x5AC), (0x5AF, 0x5AF)),
        *((0x5C4, 0x5C4), (0x610, 0x617), (0x657, 0x65B), (0x65D, 0x65E), (0x6D6, 0x6DC), (0x6DF, 0x6E2)),
        *((0x6E4, 0x6E4), (0x6E7, 0x6E8), (0x6EB, 0x6EC)),
    )
    for code in range(first, last + 1)
)
MOST_CELLS = len(_MARKS)
"""Columns and rows that an image may take."""


def protocol_of(environ: Mapping[str, str]) -> Protocol | None:
    """How the terminal is given an image; None where it draws none, or tmux or screen stands before it."""
    term = environ.get("TERM", "").lower()
    if environ.get("TMUX") or term.startswith(("screen", "tmux")):
        return None
    for beginning, protocol in _BY_TERM.items():
        if term.startswith(beginning):
            return protocol
    for name in (environ.get("TERM_PROGRAM", "").lower(), environ.get("LC_TERMINAL", "").lower()):
        for beginning, protocol in _BY_PROGRAM.items():
            if name.startswith(beginning):
                return protocol
    if environ.get("TERM_PROGRAM"):
        return None  # it says what it is; variables of others came from the terminal it was started in
    return next((protocol for name, protocol in _BY_VARIABLE.items() if environ.get(name)), None)


def draws(protocol: Protocol, kind: str) -> bool:
    """Whether a terminal draws images of this format (see app.workspace.files.images)."""
    return kind in _KINDS[protocol]


def cells_for(width: int, height: int, columns: int, rows: int) -> tuple[int, int]:
    """The columns and rows of an image of `width` × `height` pixels in a room of `columns` × `rows` cells: as
    large as fits with its ratio kept, but not larger than a cell for each 8 pixels of width."""
    columns, rows = min(columns, MOST_CELLS), min(rows, MOST_CELLS)
    ratio = height * _CELL[0] / (width * _CELL[1])  # rows for each column
    wide = max(1.0, min(columns, rows / ratio, width / 8))
    return max(1, round(wide)), max(1, min(rows, round(wide * ratio)))


def kitty_sent(number: int, data: bytes, columns: int, rows: int) -> Iterator[str]:
    """The sequences that give kitty a PNG to stand where its placeholders do. `number` is from 1 to 2²⁴ − 1."""
    encoded = base64.standard_b64encode(data).decode("ascii")
    head = f"a=T,U=1,f=100,i={number},c={columns},r={rows},q=2,"
    for at in range(0, len(encoded), _CHUNK):
        is_more = int(at + _CHUNK < len(encoded))
        yield f"\x1b_G{head}m={is_more};{encoded[at : at + _CHUNK]}\x1b\\"
        head = "q=2,"


def kitty_removed(number: int) -> str:
    """The sequence that has kitty forget an image."""
    return f"\x1b_Ga=d,d=I,i={number},q=2\x1b\\"


def kitty_row(row: int, columns: int) -> str:
    """The placeholders of one row of an image, counted from 0; drawn in the colour that is its number."""
    return "".join(f"{_PLACEHOLDER}{_MARKS[row]}{_MARKS[column]}" for column in range(columns))


def iterm_drawn(data: bytes, x: int, y: int, columns: int, rows: int) -> str:
    """The sequence that draws an image at a cell of the screen, counted from 0; the cursor stays."""
    encoded = base64.standard_b64encode(data).decode("ascii")
    size = f"size={len(data)};width={columns};height={rows};preserveAspectRatio=1"
    return f"\x1b7\x1b[{y + 1};{x + 1}H\x1b]1337;File=inline=1;{size};doNotMoveCursor=1:{encoded}\x07\x1b8"
