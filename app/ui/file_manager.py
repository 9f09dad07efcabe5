"""Showing a file where the system shows files: the Finder, or the desktop's file manager."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from app.errors import TidegateError


class NoFileManager(TidegateError):
    """There is no program that shows files, or it failed."""


def reveal_command(
    place: Path, platform: str = sys.platform, which: Callable[[str], str | None] = shutil.which
) -> list[str]:
    """The command that shows `place`: on macOS selected in the Finder, elsewhere by the folder that it lies in.
    Raises NoFileManager. Not seen on a Mac yet."""
    if platform == "darwin":
        return ["/usr/bin/open", "-R", str(place)]
    if which("xdg-open") is None:
        raise NoFileManager("no program shows files here", "install xdg-utils")
    return ["xdg-open", str(place if place.is_dir() else place.parent)]


def reveal(place: Path) -> None:
    """Show `place`. Blocks until the command has handed it over: call it in a thread. Raises NoFileManager."""
    command = reveal_command(place)
    try:
        answer = subprocess.run(command, capture_output=True, check=False, timeout=10, start_new_session=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoFileManager(f"{place.name} cannot be shown ({error})") from error
    if answer.returncode:
        said = answer.stderr.decode("utf-8", "replace").strip().splitlines()
        raise NoFileManager(f"{place.name} cannot be shown ({said[0] if said else command[0]})")
