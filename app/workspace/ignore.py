"""Which paths git's ignore files exclude, with or without a git repository."""

import os
from functools import lru_cache
from pathlib import Path

from pathspec import GitIgnoreSpec

_Stamp = tuple[int, int]


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=512)
def _read(path: Path, _stamp: _Stamp) -> GitIgnoreSpec:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    return GitIgnoreSpec.from_lines(lines)


def _global_ignore_file() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "git" / "ignore"


class IgnoreRules:
    """The ignore files of one workspace. Files that changed are read again by themselves."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def is_ignored(self, path: str, is_directory: bool) -> bool:
        """Whether `path` (relative to the root, forward slashes), or a directory it lies in, is ignored."""
        if path.startswith("/"):
            return False  # outside the root, where its rules have no say
        parts = path.split("/")
        if ".git" in parts:
            return True
        return any(
            self._matches("/".join(parts[:count]), is_directory or count < len(parts))
            for count in range(1, len(parts) + 1)
        )

    def _matches(self, path: str, is_directory: bool) -> bool:
        """Whether the rules name `path` itself: the nearest file that has a say wins, as in gitignore(5)."""
        parts = path.split("/")
        for depth in range(len(parts) - 1, -1, -1):
            decided = self._check(
                self._root.joinpath(*parts[:depth], ".gitignore"), "/".join(parts[depth:]), is_directory
            )
            if decided is not None:
                return decided
        for file in (self._root / ".git" / "info" / "exclude", _global_ignore_file()):
            decided = self._check(file, path, is_directory)
            if decided is not None:
                return decided
        return False

    @staticmethod
    def _check(file: Path, path: str, is_directory: bool) -> bool | None:
        stamp = _stamp(file)
        if stamp is None:
            return None
        return _read(file, stamp).check_file(path + "/" if is_directory else path).include
