"""Where practice repositories lie."""

import os
import sys
import tempfile
from pathlib import Path

from git.exc import GitCommandNotFound

from app.errors import TidegateError
from app.git.git import Git
from app.paths import data_directory
from app.practice.model import PracticeTask
from app.practice.range.keeping import hold, make_room
from app.practice.tasks import write


class NoPlace(TidegateError):
    """Practice repositories can be written nowhere."""


def find_home() -> str:
    """Make sure that Tidegate can keep what is its own. Where its data folder cannot be written, all of it goes
    to a temporary folder while this process runs; the sentence says so, "" otherwise. Raises NoPlace."""
    try:
        _try_to_write(data_directory())
        return ""
    except OSError as error:
        closed = f"{error.filename or data_directory()} cannot be written ({error.strerror})"
    # Ours alone, and the same for all windows, so that they share one engine.
    home = Path(tempfile.gettempdir()) / f"tidegate-{os.getuid()}"
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        if home.is_symlink() or home.stat().st_uid != os.getuid():
            raise NoPlace(f"{home} belongs to somebody else", "set TIDEGATE_HOME to a directory of your own")
        _try_to_write(home / "data")
    except OSError as error:
        raise NoPlace(
            f"{closed}, nor can {home} ({error.strerror})", "set TIDEGATE_HOME to a directory of your own"
        ) from None
    os.environ["TIDEGATE_HOME"] = str(home)
    return f"{closed}: this practice is kept in {home}, which the system may clear."


def take_own_python() -> None:
    """Have `python3` in commands mean the Python that runs this: on a fresh machine it may be the only one, or
    the other may be too old for the tests."""
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


def _try_to_write(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryFile(dir=directory):
        pass


def lay_out(task: PracticeTask, parent: Path | None = None) -> Path:
    """Make the task's repository in a folder of its own below `parent`, Tidegate's practice folder where none
    is named, and return it. Old ones are removed, see `make_room`. Raises NoPlace."""
    parent = parent or data_directory() / "practice"
    try:
        directory = _new_folder(parent, f"task-{task.seed}")
        hold(directory)
        make_room(parent)
        try:
            write(task, directory)
        except GitCommandNotFound:
            return directory  # the files are there; the review does without a repository
        # What Python leaves behind is no change of the agent's.
        exclude = directory / ".git" / "info" / "exclude"
        exclude.parent.mkdir(exist_ok=True)
        exclude.write_text("__pycache__/\n", encoding="utf-8")
        _let_commit(directory)
    except OSError as error:
        raise NoPlace(
            f"{error.filename or parent} cannot be written ({error.strerror})", "see that there is room"
        ) from None
    return directory


def _new_folder(parent: Path, name: str) -> Path:
    """A folder that no other window has: the name, or the first free number behind it."""
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    number = 1
    while True:
        directory = parent / (name if number == 1 else f"{name}-{number}")
        try:
            directory.mkdir()
            return directory.resolve()
        except FileExistsError:
            number += 1


def _let_commit(directory: Path) -> None:
    """Who has never told git a name can commit here all the same."""
    git = Git(directory)
    if git.ask("config", "user.email").status:
        git.ask("config", "user.email", "you@localhost")
        git.ask("config", "user.name", "You")
