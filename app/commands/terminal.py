"""What there is to draw on."""

import os
import sys

from app.commands.options import BadUsage


def has_terminal() -> bool:
    """Whether both standard input and output are one."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def require_full_screen(instead: str) -> None:
    """Raises BadUsage where the terminal can only print lines; `instead` is a command that needs no more."""
    if os.environ.get("TERM") == "dumb":
        raise BadUsage("this terminal (TERM=dumb) has no full screen", f"use another, or: {instead}")
