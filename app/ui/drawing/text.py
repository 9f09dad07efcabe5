"""Text of unknown origin made fit for cells, and painted into segments."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from rich.style import Style

TAB_WIDTH = 4
"""Columns."""
_LEAST_WIDTH = 2  # cells, which one character may take

Span = tuple[int, int, Style]

# Control characters would reach the terminal as commands, and bidirectional overrides can make code look
# like other code: both are shown as visible signs of one character.
_OBEYED = {code: 0x2400 + code for code in range(0x20) if code not in (0x09,)}
_OBEYED[0x7F] = 0x2421
_OBEYED |= {code: 0xFFFD for code in range(0x80, 0xA0)}
# Bytes that are no UTF-8 come as surrogates, which cannot be written to a terminal.
_OBEYED |= {code: 0xFFFD for code in range(0xD800, 0xE000)}
_OBEYED |= {code: 0xFFFD for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F)}
# In code, a name or a command, nothing may hide: characters of no width (soft hyphen, zero-width space and
# non-joiner, word joiner and invisible operators, byte order mark, Mongolian and Hangul fillers, annotation
# marks, variation selectors, tags), separators of lines, and spaces other than the plain one.
_UNSEEN = (
    *(0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x180F), 0x200B, 0x200C),
    *(*range(0x2060, 0x2066), *range(0x206A, 0x2070), 0x3164, *range(0xFE00, 0xFE0F), 0xFEFF, 0xFFA0),
    *(*range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080), *range(0xE0100, 0xE01F0)),
)
_SPACES = (0x00A0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)
_VISIBLE = {
    **_OBEYED,
    **dict.fromkeys(_UNSEEN, 0xFFFD),
    **dict.fromkeys((0x2028, 0x2029), 0x2424),
    **dict.fromkeys(_SPACES, 0x237D),
}
# The joiner and the emoji selector are part of an emoji, and hidden anywhere else.
_HIDDEN_JOINER = re.compile(
    "(?<![\u2190-\u2bff\u3030-\u3299\U0001f000-\U0001faff\ufe0f])[\u200d\ufe0f](?!\u20e3)"
)


def visible(text: str) -> str:
    """`text` on one line with tabs expanded, a sign for every character that cannot be seen, and nothing left
    that a terminal would obey."""
    if text.isascii() and text.isprintable():
        return text
    return with_signs(text).expandtabs(TAB_WIDTH)


def sentence(text: str) -> str:
    """An error's words, which begin small behind a command's name, as they stand by themselves; the small
    letter stays where it is part of a name, such as `pyproject.toml`."""
    first = text.split(" ", 1)[0]
    return text[:1].upper() + text[1:] if first.isalpha() else text


def with_signs(text: str) -> str:
    """`text` with a sign, of one character too, for every character that cannot be seen; tabs stay."""
    return _HIDDEN_JOINER.sub("\ufffd", text).translate(_VISIBLE)


def visible_block(text: str) -> str:
    """Prose of several lines with tabs expanded and nothing left that a terminal would obey; its spaces and
    joiners are left to typography."""
    return "\n".join(line.translate(_OBEYED).expandtabs(TAB_WIDTH) for line in text.split("\n"))


def columns(text: str, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Character spans in raw `text` as spans in `visible(text)`; only tabs make them differ."""
    if "\t" not in text:
        return list(spans)
    starts = [0]
    column = 0
    for character in text:
        column += TAB_WIDTH - column % TAB_WIDTH if character == "\t" else 1
        starts.append(column)
    last = len(text)
    return [(starts[min(start, last)], starts[min(end, last)]) for start, end in spans]


def paint(text: str, base: Style, spans: Sequence[Span]) -> list[Segment]:
    """`text` in `base`, with later spans laid over earlier ones."""
    length = len(text)
    if not spans or not length:
        return [Segment(text, base)] if text else []
    cuts = {0, length}
    for start, end, _ in spans:
        if start < length and end > 0:
            cuts.add(max(start, 0))
            cuts.add(min(end, length))
    ordered = sorted(cuts)
    segments = []
    for left, right in pairwise(ordered):
        style = base
        for start, end, extra in spans:
            if start <= left and end >= right:
                style += extra
        segments.append(Segment(text[left:right], style))
    return segments


def matches(text: str, query: str, style: Style) -> list[Span]:
    """Where `text` holds `query`, whose small letters match both; none for an empty one."""
    hay = text.lower() if query == query.lower() else text
    spans: list[Span] = []
    at = hay.find(query) if query else -1
    while at >= 0:
        spans.append((at, at + len(query), style))
        at = hay.find(query, at + len(query))
    return spans


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A line in rows: `text` made visible, and the character at which each row starts."""

    text: str
    starts: Sequence[int]

    def part(self, number: int) -> tuple[int, int]:
        """The characters of one row; empty where there is none."""
        if number >= len(self.starts):
            return len(self.text), len(self.text)
        end = self.starts[number + 1] if number + 1 < len(self.starts) else len(self.text)
        return self.starts[number], end


def wrapped(text: str, width: int) -> Wrapped:
    """Visible `text` in rows of at most `width` cells, but two at least, broken wherever that is."""
    width = max(_LEAST_WIDTH, width)
    if text.isascii():
        return Wrapped(text, range(0, max(1, len(text)), width))
    starts = [0]
    for piece in chop_cells(text, width)[:-1]:
        starts.append(starts[-1] + len(piece))
    return Wrapped(text, starts)


def wrap(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` cells, but two at least, broken at spaces where there are some."""
    width = max(_LEAST_WIDTH, width)
    rows: list[str] = []
    for raw in text.split("\n"):
        line = visible(raw)
        while cell_len(line) > width:
            head = chop_cells(line[: width + 1], width)[0]
            cut = head.rfind(" ")
            if cut > width // 3 and not line[len(head) : len(head) + 1].isspace():
                head = head[: cut + 1]
            rows.append(head.rstrip())
            line = line[len(head) :].lstrip(" ")
        rows.append(line)
    return rows


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a line that a view shows: characters `start` to `end`."""

    start: int
    end: int


def window(text: str, left: int, width: int) -> Window:
    """The characters of a very long line that cells `left` to `left + width` show, roughly: only a line that
    mixes wide and narrow characters is off, and only by the wide ones before it."""
    if text.isascii():
        return Window(left, left + width)
    scale = max(1, round(cell_len(text[:512]) / max(1, min(512, len(text)))))
    return Window(left // scale, left // scale + width)


def duration(seconds: float) -> str:
    """Whole seconds as "42 s" or "2 min 03 s"."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def age(seconds: float) -> str:
    """How long ago, in the unit that tells: 0 to "just now", 7200 to "2 h ago"."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"
