"""The clipboard: of this machine by its own program, over ssh by the terminal's escape sequence (OSC 52)."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping

_SECONDS = 3.0
"""How long a clipboard's program may take; xclip waits for the display's server."""


def clipboard_command(
    environment: Mapping[str, str],
    platform: str = sys.platform,
    which: Callable[[str], str | None] = shutil.which,
) -> tuple[str, ...] | None:
    """The program that puts its input into this machine's clipboard. None where there is none, and over ssh,
    where the user sits in front of another machine."""
    if environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"):
        return None
    candidates: tuple[tuple[bool, tuple[str, ...]], ...] = (
        (platform == "darwin", ("pbcopy",)),
        (bool(environment.get("WAYLAND_DISPLAY")), ("wl-copy",)),
        (bool(environment.get("DISPLAY")), ("xclip", "-selection", "clipboard")),
    )
    return next((command for fits, command in candidates if fits and which(command[0])), None)


def copied(text: str, command: tuple[str, ...]) -> bool:
    """Put `text` into the clipboard by `command`. Blocks. False where that failed."""
    try:
        done = subprocess.run(
            command,
            input=text.encode("utf-8", "replace"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
