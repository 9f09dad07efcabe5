"""Copies of the project with some of the hunks under review, outside of the work tree, one for each run.

What git ignores is not copied, but for folders that hold what a project is run with (a virtual environment,
node_modules): to these a link leads. Each run gets a new copy, so that nothing one run leaves behind (compiled
files, databases) is there in the next.
"""

import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Set
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from app.git.git import Git
from app.review.disk import WorkTree
from app.review.errors import ReviewError
from app.review.model import FileImage
from app.workspace.workspace import Workspace

_ENVIRONMENTS = (".venv", "venv", "env", "node_modules")
_CACHES = frozenset({"__pycache__"})  # would stand for the source that they were made from
MOST_BYTES = 500_000_000
"""Of a project that is copied for each run; chosen, not measured."""


class Copies:
    """A project as it was when this was made, kept in `directory`. Where `tree` is given, its files are those
    below it, else the workspace's. Blocks on the disk.

    Raises ReviewError where the project is too large to be copied for each run, or cannot be read.
    """

    def __init__(
        self, workspace: Workspace, directory: Path, under_review: Set[str], tree: Path | None = None
    ) -> None:
        self._directory = directory
        self._kept = directory / "kept"
        self._root = workspace.root
        self._made: TemporaryDirectory[str] | None = None
        digest = sha256()
        total = 0
        self._kept.mkdir(parents=True)
        source = tree or workspace.root
        for path in _files_below(tree) if tree is not None else _files(workspace):
            if path in under_review:
                continue
            try:
                kind = self._keep(source, path)
            except FileNotFoundError:
                continue  # gone since it was listed
            except OSError as error:
                raise ReviewError(
                    f"{path} cannot be copied ({error.strerror})", "the tests run on copies of the project"
                ) from error
            if not kind:
                continue
            target = self._kept / path
            content = os.fsencode(target.readlink()) if target.is_symlink() else target.read_bytes()
            total += len(content)
            if total > MOST_BYTES:
                raise ReviewError(
                    f"The project has more than {MOST_BYTES // 1_000_000} MB that git does not ignore",
                    "it would have to be copied for each run of the tests; have git ignore what is not source",
                )
            digest.update(f"{path}\0{kind}\0".encode("utf-8", "surrogateescape"))
            digest.update(sha256(content).digest())
        self._digest = digest.digest()

    def _keep(self, root: Path, path: str) -> int:
        """Copy a file or a link; returns its mode, 0 where it is neither and left out."""
        source, target = root / path, self._kept / path
        mode = source.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            return 0
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
        return mode

    def name(self, files: Mapping[str, FileImage | None]) -> str:
        """What tells a copy with these files from copies with other content, anywhere."""
        digest = sha256(self._digest)
        for path, image in sorted(files.items()):
            digest.update(f"{path}\0{image.mode if image else 0}\0".encode("utf-8", "surrogateescape"))
            digest.update(sha256(image.data if image else b"").digest())
        return digest.hexdigest()

    def make(self, files: Mapping[str, FileImage | None]) -> Path:
        """Make a new copy, with these files (None: not there), and remove the one before; returns its root."""
        if self._made is not None:
            self._made.cleanup()
        self._made = TemporaryDirectory(dir=self._directory)
        root = Path(self._made.name) / self._root.name
        shutil.copytree(self._kept, root, symlinks=True)
        tree = WorkTree(root)
        for path, image in files.items():
            if image is not None:
                tree.write(path, image)
        for name in _ENVIRONMENTS:
            place = self._root / name
            if place.is_dir() and not (root / name).exists():
                (root / name).symlink_to(place)
        return root


def _files_below(root: Path) -> list[str]:
    found = (Path(place) / name for place, folders, names in os.walk(root) for name in (*folders, *names))
    return sorted(path.relative_to(root).as_posix() for path in found if path.is_symlink() or path.is_file())


def _files(workspace: Workspace) -> list[str]:
    """What is neither ignored nor of git's own, and what git has although it is ignored."""
    found = set(_below(workspace, ""))
    git = Git(workspace.root)
    if git.is_repository:
        found.update(os.fsdecode(path) for path in git.run("ls-files", "-z").split(b"\0") if path)
    return sorted(path for path in found if os.path.lexists(workspace.root / path))


def _below(workspace: Workspace, folder: str) -> Iterator[str]:
    """The files in a folder that are not ignored. Links are not followed."""
    for entry in workspace.list_directory(folder):
        if entry.is_ignored or entry.name in _CACHES:
            continue
        if entry.is_directory and not entry.is_symlink:
            yield from _below(workspace, entry.path)
        else:
            yield entry.path
