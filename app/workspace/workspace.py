"""The directory that is open, as one object."""

import asyncio
import os
import stat
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.durable import TEMPORARY_SUFFIX
from app.workspace.errors import WorkspaceError
from app.workspace.files import reading
from app.workspace.files.text import decode
from app.workspace.git import GitRepository
from app.workspace.ignore import IgnoreRules
from app.workspace.model import DirectoryEntry, Document, RepositoryStatus
from app.workspace.names import folds_case, is_git_name, spelled_on_disk
from app.workspace.search import ripgrep
from app.workspace.watch import watch

if TYPE_CHECKING:
    from app.workspace.search.symbols import Symbol


@dataclass(frozen=True, slots=True)
class Location:
    """Where a path leads once every symbolic link is followed. `path` is relative to the root with forward
    slashes ("" for the root itself) if `is_inside`, else absolute. `named` is what it was before a link was
    followed, relative to the root, "" where it lay outside or nothing was followed."""

    absolute: Path
    path: str
    is_inside: bool
    named: str = ""


def location_in(root: Path, absolute: Path, spelled: Path) -> Location:
    """The location `absolute`, which was `spelled` before links were followed."""
    plain = Path(os.path.normpath(spelled))
    is_other = plain != absolute and plain.is_relative_to(root)
    named = plain.relative_to(root).as_posix() if is_other else ""
    if not absolute.is_relative_to(root):
        return Location(absolute, str(absolute), is_inside=False, named=named)
    relative = absolute.relative_to(root).as_posix()
    return Location(absolute, "" if relative == "." else relative, is_inside=True, named=named)


class Workspace:
    """Facts about the directory `root`. Its methods block on disk or on a process: call them in a thread.

    Raises WorkspaceError when `root` is not a directory that can be listed.
    """

    def __init__(self, root: str | Path) -> None:
        path = Path(root).expanduser()
        if not path.is_dir():
            what = "is not a directory" if path.exists() else "does not exist"
            raise WorkspaceError(f"{root} {what}", "name the directory of a project")
        if not os.access(path, os.R_OK | os.X_OK):
            raise WorkspaceError(
                f"{root} may not be read by you", "change its permissions or open another directory"
            )
        self.root = Path(os.path.realpath(path))
        self.folds_case = folds_case(self.root)
        """Whether names that differ only in capitals are one file here, as on most Macs."""
        self.git = GitRepository(self.root)
        self.rules = IgnoreRules(self.root)

    def locate(self, path: str) -> Location:
        """Where `path` (absolute, "~/…", or relative to the root) leads.

        Raises WorkspaceError if it is no path at all.
        """
        try:
            absolute = Path(os.path.realpath(self.root / Path(path).expanduser()))
            if self.folds_case:
                absolute = spelled_on_disk(absolute)
        except (ValueError, RuntimeError, OSError) as error:
            raise WorkspaceError(f"{path!r} is not a path ({error})") from error
        return location_in(self.root, absolute, self.root / Path(path).expanduser())

    def list_directory(self, path: str = "") -> tuple[DirectoryEntry, ...]:
        """What lies in the directory at `path`, directories first, by name; `.git` is left out.

        Raises WorkspaceError when it is no directory or cannot be read.
        """
        directory = self.root / path
        shown = path or str(self.root)
        try:
            parent = path.strip("/")
            is_ignored = self.rules.inside(parent)
            with os.scandir(directory) as found:
                entries = [_entry(item, parent, is_ignored) for item in found if self._is_shown(item.name)]
        except FileNotFoundError as error:
            raise WorkspaceError(f"{shown} does not exist") from error
        except NotADirectoryError as error:
            raise WorkspaceError(f"{shown} is not a directory") from error
        except PermissionError as error:
            raise WorkspaceError(f"{shown} may not be read by you") from error
        except (OSError, ValueError) as error:
            raise WorkspaceError(f"{shown} cannot be listed ({error})") from error
        return tuple(
            sorted(entries, key=lambda entry: (not entry.is_directory, entry.name.casefold(), entry.name))
        )

    @staticmethod
    def _is_shown(name: str) -> bool:
        return not is_git_name(name) and not name.endswith(TEMPORARY_SUFFIX)

    def read_document(self, path: str, limit: int = reading.MAX_DOCUMENT_BYTES) -> Document:
        """The file at `path`, relative to the root or absolute. Never raises and never waits.

        What cannot be shown (more than `limit` bytes, binary, a pipe, forbidden, gone) has a notice instead.
        """
        return reading.read_document(self.root / path, path, limit)

    def files(self, path: str = "", globs: Sequence[str] = ()) -> tuple[str, ...]:
        """All files at or below `path` that no ignore rule excludes, matching one of `globs` if given; sorted,
        relative to the root. A glob without a slash holds at any depth, one with a slash from the root on."""
        return ripgrep.list_files(self.root, self.root / path, globs)

    def search(
        self,
        pattern: str,
        path: str = "",
        *,
        globs: Sequence[str] = (),
        limit: int = 200,
        is_literal: bool = False,
        ignore_case: bool = False,
    ) -> ripgrep.SearchResult:
        """Lines that match the regular expression `pattern`. Raises WorkspaceError for a malformed one."""
        return ripgrep.search(
            self.root,
            self.root / path,
            pattern,
            globs=globs,
            limit=limit,
            is_literal=is_literal,
            ignore_case=ignore_case,
        )

    def indexed_lines(self, path: str) -> tuple[str, ...] | None:
        """The lines that git's index has of the file at `path`, an empty last one where it ends in a newline;
        None where it has none, or no text. Raises GitError."""
        data = self.git.indexed(path)
        text = decode(data) if data is not None else None
        return tuple(text.normal.split("\n")) if text is not None else None

    def symbols(self, query: str) -> "tuple[Symbol, ...]":
        """The definitions in the workspace whose names hold `query`, best first."""
        from app.workspace.search.symbols import symbols_in  # noqa: PLC0415  the parsers are rarely needed

        return symbols_in(self.root, query)

    def symbols_of(self, path: str) -> "tuple[Symbol, ...]":
        """The definitions in one file, by line; none where its language is unknown or it cannot be read."""
        from app.workspace.search.symbols import symbols_of  # noqa: PLC0415

        try:
            return symbols_of(path, (self.root / path).read_bytes())
        except OSError:
            return ()

    def status(self) -> RepositoryStatus | None:
        """git status; None where git features are off, and then `git.notice` says why."""
        return self.git.status()

    async def watch(self) -> AsyncGenerator[frozenset[str]]:
        """Changed paths as they come (see app.workspace.watch). On the event loop, unlike everything else."""
        directory = await asyncio.to_thread(lambda: self.git.directory)
        async with aclosing(watch(self.root, directory, self.rules)) as changes:
            async for paths in changes:
                yield paths


def _entry(item: "os.DirEntry[str]", parent: str, is_ignored: Callable[[str, bool], bool]) -> DirectoryEntry:
    path = f"{parent}/{item.name}" if parent else item.name
    try:
        is_directory = item.is_dir()
        found = item.stat()
        size = found.st_size if stat.S_ISREG(found.st_mode) else 0
    except OSError:
        # A link that leads nowhere, or a file that went away since: still a name in the directory.
        is_directory, size = False, 0
    # git treats a link to a directory as a file, and so do its ignore rules.
    ignored = is_ignored(item.name, is_directory and not item.is_symlink())
    return DirectoryEntry(item.name, path, is_directory, item.is_symlink(), ignored, size)
