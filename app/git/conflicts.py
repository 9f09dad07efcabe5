"""Files that a merge left with both sides in them."""

import os
from pathlib import Path

from app.git.errors import GitError
from app.git.git import Git

REMEDY = "resolve them in the file, then stage it"


def has_markers(data: bytes) -> bool:
    """Whether a merge's marks of both sides stand in a file of this content."""
    starts = {line[:8] for line in data.split(b"\n")}
    return {b"<<<<<<< ", b">>>>>>> "} <= starts


def need_resolved(root: Path, path: str) -> None:
    """Raises GitError where `path`, or a file below it, is in a conflict and has the marks of it: git would
    stage it with them, and forget both sides."""
    listed = Git(root).run("--literal-pathspecs", "ls-files", "--unmerged", "-z", "--", path)
    names = {os.fsdecode(entry.partition(b"\t")[2]) for entry in listed.split(b"\0")[:-1]}
    for name in sorted(names):
        place = root / name
        if place.is_file() and has_markers(place.read_bytes()):
            raise GitError(f"{name} has conflicts", REMEDY)
