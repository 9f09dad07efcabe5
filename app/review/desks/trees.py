"""The files of what git can show, as they are after it: for running the tests on them."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from app.git.git import Git
from app.review.desks.sources import Source, Sources, last_revision
from app.review.errors import ReviewError
from app.review.model import FileChange, FileImage
from app.review.needed.of_diff import DiffSubsets


def subsets(sources: Sources, source: Source, changes: Sequence[FileChange]) -> DiffSubsets:
    """The hunks of `changes`, which `source` shows, of which any can be left out. Raises ReviewError and
    GitError."""
    if source.kind == "patch":
        raise ReviewError("A patch is not in the files", "apply it, then review the work tree (t)")
    images: dict[str, FileImage | None] = {}
    for change in changes:
        data = sources.after(source, change) if change.kind != "combined" else None
        images[change.path] = FileImage(data, change.after_mode or 0o100644) if data is not None else None
    return DiffSubsets(changes, images)


def write_tree(root: Path, source: Source, place: Path) -> Path | None:
    """Write all files as they are after `source` into `place`; returns what is the directory `root` there. None
    where they are the work tree's. Raises GitError."""
    git = Git(root)
    if source.kind == "worktree":
        return None
    checkout = ("checkout-index", "--all", f"--prefix={place}/")
    if source.kind == "staged":
        git.run(*checkout)
    else:
        with tempfile.TemporaryDirectory(prefix="tidegate-") as directory:
            index = {"GIT_INDEX_FILE": str(Path(directory) / "index")}
            git.run("read-tree", f"{last_revision(source)}^{{tree}}", environment=index)
            git.run(*checkout, environment=index)
    return place / git.prefix
