"""The user's own editor, at a line, while the screen steps aside."""

import os
import shlex
import signal
import subprocess
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import App, SuspendNotSupported

from app.errors import TidegateError

if TYPE_CHECKING:
    from app.review.port import ReviewPort
    from app.workspace.workspace import Workspace

_WITH_COLON = ("hx", "helix", "subl", "zed", "kak")
_WITH_GOTO = ("code", "codium", "cursor", "windsurf")


class EditorError(TidegateError):
    """The editor cannot be used."""


def command_for(path: Path, line: int) -> list[str]:
    """The command that opens `path` at `line` in $VISUAL, $EDITOR or vi, as that editor wants to be told.
    Raises EditorError for what is no command."""
    named = (os.environ.get(name, "").strip() for name in ("VISUAL", "EDITOR"))
    editor = next(filter(None, named), "vi")
    try:
        command = shlex.split(editor)
    except ValueError as error:
        raise EditorError(f"{editor} is no command ({error})", "set EDITOR") from error
    name = Path(command[0]).name
    if name in _WITH_COLON:
        return [*command, f"{path}:{line}"]
    if name in _WITH_GOTO:
        wait = [] if {"--wait", "-w"} & set(command) else ["--wait"]
        return [*command, *wait, "--goto", f"{path}:{line}"]
    return [*command, f"+{line}", str(path)]


def edit(app: App[object], path: Path, line: int) -> None:
    """Let the user edit, with the screen suspended until the editor ends. Raises EditorError."""
    if not path.is_file():
        raise EditorError(f"There is no file {path.name} to edit", "bring it back first")
    command = command_for(path, line)
    refusal: OSError | None = None
    try:
        with app.suspend():
            # Nothing may be raised in here: the screen would not come back.
            before = signal.signal(signal.SIGINT, _leave_it_to_the_editor)
            try:
                status = subprocess.run(command, check=False).returncode
            except OSError as error:
                refusal = error
            finally:
                signal.signal(signal.SIGINT, before)
    except SuspendNotSupported as error:
        raise EditorError(
            "This terminal cannot be handed to an editor", "open the file in another window"
        ) from error
    if refusal is not None:
        raise EditorError(f"{command[0]} cannot be started ({refusal.strerror})", "set EDITOR") from refusal
    if status:
        raise EditorError(
            f"{Path(command[0]).name} ended with status {status}", "look whether the file is as you want it"
        )


def edit_outside(
    app: App[object], workspace: "Workspace", review: "ReviewPort", path: str, line: int = 1
) -> None:
    """Let the user edit the workspace's file `path` in the editor; what changes is the user's own in the
    review. What goes wrong is told."""
    location = workspace.locate(path)
    try:
        with review.users_own(location.path) if location.is_inside else nullcontext():
            edit(app, location.absolute, line)
    except TidegateError as error:
        app.notify(str(error), severity="error", timeout=8)
    app.refresh(layout=True)


def _leave_it_to_the_editor(_number: int, _frame: object) -> None:
    """Ctrl+C goes to all programs of a terminal, and this one is not meant."""


def edit_text(app: App[object], text: str, name: str, line: int = 1) -> str:
    """Let the user edit `text` by itself, in a file with the ending of `name`. Returns what it became, without
    the newline at its end. Raises EditorError."""
    try:
        with tempfile.TemporaryDirectory(prefix="tidegate-") as directory:
            file = Path(directory) / Path(name).name
            file.write_text(f"{text}\n", encoding="utf-8", errors="replace")
            edit(app, file, line)
            return file.read_text(encoding="utf-8", errors="replace").removesuffix("\n")
    except OSError as error:
        raise EditorError(f"there is no way to hand text over ({error})", "look at TMPDIR") from error
