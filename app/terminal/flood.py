"""Leaving out what a screen would forget anyway."""

import re

from app.terminal.screen import MOST_HISTORY

_PLENTY = 500_000  # bytes, from which on it is worth a look
_SEQUENCE = re.compile(rb"\x1b\[[0-9:;]*[ -/]*[@-~]|\x1b.?", re.DOTALL)
_STYLE = re.compile(rb"\x1b\[[0-9:;]*m")


def thinned(data: bytes, rows: int) -> bytes:
    """`data` without the lines that would have scrolled out of the history by its end, where a program writes
    more at once than anybody reads. `rows` are the screen's. What is more than lines and their style is kept
    whole: it may move the cursor."""
    if len(data) < _PLENTY:
        return data
    end = len(data)
    for _ in range(MOST_HISTORY + rows):
        end = data.rfind(b"\n", 0, end)
        if end < 0:
            return data
    dropped = data[: end + 1]
    styles = _SEQUENCE.findall(dropped)
    if not all(map(_STYLE.fullmatch, styles)):
        return data
    return b"".join(styles[-1:]) + data[end + 1 :]
