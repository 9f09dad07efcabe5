"""Whether a word of a command line leads out of the workspace. Looks where paths lead, and nothing else."""

import os
import re
import tempfile
from pathlib import Path

from app.agent.permission.commands.simple_commands import Word
from app.workspace.names import is_git_name

_HARMLESS = frozenset(
    f"/dev/{name}" for name in ("null", "stdout", "stderr", "stdin", "tty", "zero", "full", "urandom", "random")
)
_DIRECTORY = re.compile(r"\$PWD\b|\$\{PWD\}|\$\(pwd\)|`pwd`")
_HOME = re.compile(r"\$HOME\b|\$\{HOME\}")
_CUT_DIRECTORY = re.compile(r"\$\{?OLDPWD|\$\{(?:PWD|HOME)[^}]")
_SPECIAL = re.compile(r"[*?\[$`({]")
_PROGRAMS = ("/bin", "/sbin", "/usr", "/opt", "/nix", "/snap", "/System", "/Applications", "/Library")


def is_there(path: Path) -> bool:
    """Whether something is at `path`; False for a name that is too long or a directory that is closed."""
    return os.path.exists(path)  # noqa: PTH110 - that of Path raises


def leaving(word: Word, place: Path, root: Path) -> list[str]:
    """Why `word`, read as a path from `place` on, needs asking about."""
    if word.value is not None:
        return leaving_path(word.value, place, root)
    text = _HOME.sub(str(Path.home()), _DIRECTORY.sub(str(place), word.spelled))
    if word.is_quoted:
        text = text[1:-1]
    text = text.replace('"', "").replace("'", "")
    may_lead = [f"{word.spelled} may lead outside the workspace"]
    if _CUT_DIRECTORY.search(text):
        return may_lead
    if re.search(r"\s", text):
        pieces = [text]  # a sentence or a script; only how it begins can make it a path
    else:
        head = literal_head(text)
        if ".." in re.split(r"[/{},=:]", text[len(head) :]):
            return may_lead
        pieces = re.split(r"[{},]", text)
    for piece in pieces:
        head = literal_head(piece)
        if head and (reasons := leaving_path(head, place, root)):
            return reasons if head == piece else may_lead
    return []


def literal_head(text: str) -> str:
    """The directories that a pattern or a computed word begins with, or all of a word that is neither."""
    head = _SPECIAL.split(text, maxsplit=1)[0]
    return head if head == text else head[: head.rfind("/") + 1]


def leaving_path(word: str, place: Path, root: Path) -> list[str]:
    """The same of a word whose value is known."""
    if word.startswith("-"):
        # -I/usr/include, --prefix=/usr
        word = word.partition("=")[2] if "=" in word else word[2:]
        return leaving_path(word, place, root) if word and not word.startswith("-") else []
    if word.startswith("file:"):
        return leaving_path(word.removeprefix("file:").lstrip("/").join(("/", "")), place, root)
    if word in _HARMLESS or word.startswith("/dev/fd/") or "://" in word or len(word) > 4096 or not word:
        return []
    if re.match(r"\w+=", word) or word.startswith("@"):  # of=/dev/sda, @/etc/passwd
        value = word[1:] if word.startswith("@") else word.partition("=")[2]
        return leaving_path(value, place, root) if value[:1] in ("/", "~", ".") else []
    try:
        path = Path(os.path.realpath(place / Path(word).expanduser()))
    except (ValueError, RuntimeError, OSError):
        return [f"{word} cannot be located"]
    if path.is_relative_to(root):
        is_git = any(is_git_name(part) for part in path.relative_to(root).parts)
        return ["it names git's own files"] if is_git else []
    return [] if _is_scratch(path, root) else [f"{word} is outside the workspace"]


def leaving_program(word: str, place: Path, root: Path) -> list[str]:
    """The same of a program's name: one of the system's is no reason."""
    if "/" not in word or word.startswith(_PROGRAMS):
        return []
    directory = str(Path(word).expanduser().parent) if not word.startswith("~") else ""
    if directory in os.environ.get("PATH", "").split(os.pathsep):
        return []
    # A virtual environment's python is a link to the system's: where a program lies counts, not where it leads.
    found = leaving_path(directory or word, place, root)
    return found and leaving_path(word, place, root)


def _is_scratch(path: Path, root: Path) -> bool:
    """Whether `path` lies in the folder for temporary files. A workspace that lies there too has neighbours in
    it, and then it is no scratch space."""
    places = (Path(os.path.realpath(tempfile.gettempdir())), Path("/private/tmp"))
    return any(
        path != place and path.is_relative_to(place) and not root.is_relative_to(place) for place in places
    )
