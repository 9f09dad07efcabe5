"""Which paths git's ignore files exclude, with or without a git repository."""

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec  # where it is used it is imported: the first frame does not wait for it

_Stamp = tuple[int, int]


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=512)
def _read(path: Path, _stamp: _Stamp) -> "GitIgnoreSpec":
    from pathspec import GitIgnoreSpec  # noqa: PLC0415

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
        directory, _, name = path.rpartition("/")
        return self.inside(directory)(name, is_directory)

    def inside(self, directory: str) -> Callable[[str, bool], bool]:
        """`is_ignored` for the names in `directory`, its rules read once for all of them."""
        if directory and self.is_ignored(directory, True):
            return lambda name, is_directory: True  # noqa: ARG005
        rules = self._rules_of(directory)

        def is_ignored(name: str, is_directory: bool) -> bool:
            if name == ".git":
                return True
            # The nearest file that has a say wins, as in gitignore(5).
            for spec, prefix in rules:
                said = spec.check_file(f"{prefix}{name}/" if is_directory else prefix + name).include
                if said is not None:
                    return said
            return False

        return is_ignored

    def _rules_of(self, directory: str) -> "list[tuple[GitIgnoreSpec, str]]":
        """The rules that have a say in `directory`, nearest first, and what each calls it, with a slash."""
        parts = directory.split("/") if directory else []
        files = [
            (self._root.joinpath(*parts[:depth], ".gitignore"), parts[depth:])
            for depth in range(len(parts), -1, -1)
        ]
        files += [(self._root / ".git" / "info" / "exclude", parts), (_global_ignore_file(), parts)]
        return [
            (_read(file, stamp), "".join(f"{part}/" for part in below))
            for file, below in files
            if (stamp := _stamp(file)) is not None
        ]
