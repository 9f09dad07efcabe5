"""Numbers on the command line, and sizes in bytes for display."""

import argparse


def readable_size(nbytes: int) -> str:
    """In the largest decimal unit that is at least 1: "44.80 GB", "12.50 kB"."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if nbytes >= limit:
            return f"{nbytes / limit:.2f} {unit}"
    return f"{nbytes} B"


def count(text: str) -> int:
    """The type of options that take a number above 0. Raises ArgumentTypeError."""
    if not text.isdecimal() or not 0 < int(text) <= 1 << 30:
        raise argparse.ArgumentTypeError(f"{text} is no number above 0")
    return int(text)
