"""The engine processes of a test, found by what they serve."""

from pathlib import Path


def pids_of(checkpoint: Path) -> list[int]:
    """The engines that serve this checkpoint."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"serve" in words and str(checkpoint).encode() in words:
            found.append(int(process.name))
    return found
