"""Contents of commits as a checkout would write them, and git's three-way merge of contents."""

import secrets
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from app.git.git import Git
from app.review.diff.compare import SYMLINK, is_opaque
from app.review.model import FileImage


def images(git: Git, revision: str, paths: Iterable[str]) -> dict[str, FileImage]:
    """These paths as a checkout of the commit would write them; missing ones are left out."""
    entries = git.tree_entries(revision, paths)
    plain = {path: blob for path, (mode, blob) in entries.items() if mode != SYMLINK and "\n" not in path}
    contents = dict(zip(plain, _filtered(git, plain), strict=True))
    for path, (_, blob) in entries.items():
        if path not in plain:
            is_link = entries[path][0] == SYMLINK
            how = ("blob",) if is_link else ("--filters", f"--path={git.prefix}{path}")
            contents[path] = git.run("cat-file", *how, blob)
    return {path: FileImage(contents[path], mode) for path, (mode, _) in entries.items()}


def merge(git: Git, ours: bytes, base: bytes, theirs: bytes) -> bytes | None:
    """git's three-way merge of contents; None when it is not clean."""
    if any(is_opaque(data) for data in (ours, base, theirs)):
        return None
    with tempfile.TemporaryDirectory(prefix="tidegate-") as directory:
        names = [Path(directory) / name for name in ("ours", "base", "theirs")]
        for name, data in zip(names, (ours, base, theirs), strict=True):
            name.write_bytes(data)
        answer = git.ask("merge-file", "-p", "--quiet", *map(str, names))
    return answer.output if answer.status == 0 else None


def _filtered(git: Git, blobs: Mapping[str, str]) -> list[bytes]:
    """The contents of blobs by path, as a checkout would write them."""
    if not blobs:
        return []
    # The size that git prints is the blob's, not that of what the filters make of it. So each content is
    # followed by a question whose answer nobody can know beforehand.
    end, prefix = f"no-{secrets.token_hex(20)}", git.prefix
    asked = "".join(f"{blob} {prefix}{path}\n{end} -\n" for path, blob in blobs.items())
    answer = git.run("cat-file", "--batch", "--filters", data=asked.encode("utf-8", "surrogateescape"))
    parts = answer.split(f"\n{end} missing\n".encode())
    return [part.partition(b"\n")[2] for part in parts[:-1]]
