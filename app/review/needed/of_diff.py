"""Any subset of the hunks of a diff as files: what is there after it, with the other hunks' lines put back."""

from collections.abc import Iterator, Mapping, Sequence, Set

from app.review.diff.compare import is_opaque, line_bytes, split_lines
from app.review.model import FileChange, FileImage, Hunk


class DiffSubsets:
    """The hunks of `changes`, of which `images` are the files after them. None rests on another; what has no
    lines (a rename, a mode, a binary file) and what does not lie in its file as the diff says stays in."""

    def __init__(self, changes: Sequence[FileChange], images: Mapping[str, FileImage | None]) -> None:
        self._changes = {change.path: change for change in changes}
        self._images = images
        self.hunks = {hunk.id: (change.path, hunk) for change in changes for hunk in change.hunks}
        """All hunks by id, each with its path."""
        lines = {path: split_lines(image.data) if image else [] for path, image in images.items()}
        self.movable = frozenset(
            hunk.id
            for change in changes
            for hunk in change.hunks
            if _is_movable(change, hunk, images[change.path], lines[change.path])
        )
        """The ids of hunks that can be taken out."""
        self.rests_on: Mapping[str, Set[str]] = {name: frozenset() for name in self.movable}
        self.paths = frozenset(path for name, (path, _) in self.hunks.items() if name in self.movable)
        """The files in which something may be taken out."""

    def files(self, kept: Set[str]) -> dict[str, FileImage | None]:
        """The files `paths` with no other hunks than `kept` and those that cannot be taken out."""
        return {path: self._without(path, self.movable - kept) for path in self.paths}

    def _without(self, path: str, out: Set[str]) -> FileImage | None:
        change, image = self._changes[path], self._images[path]
        gone = [hunk for hunk in change.hunks if hunk.id in out]
        if not gone:
            return image
        if change.kind == "created":
            return None
        if image is None:
            mode = change.before_mode or 0o100644
            return FileImage(b"".join(map(line_bytes, gone[0].lines)), mode)
        lines = split_lines(image.data)
        for hunk in reversed(gone):
            start = _start(hunk)
            lines[start : start + hunk.after_count] = [
                line_bytes(line) for line in hunk.lines if line.kind != "added"
            ]
        ended = [line if line.endswith(b"\n") else line + b"\n" for line in lines[:-1]]
        return FileImage(b"".join([*ended, *lines[-1:]]), image.mode)

    def holds(self, hunks: Iterator[Hunk]) -> bool:
        """Whether these are all among the hunks here, with the same lines: what was found still counts."""
        return all(hunk.id in self.hunks and self.hunks[hunk.id][1].lines == hunk.lines for hunk in hunks)


def _start(hunk: Hunk) -> int:
    # A side without lines is named by the line in front of it.
    return hunk.after_start - 1 if hunk.after_count else hunk.after_start


def _is_movable(change: FileChange, hunk: Hunk, image: FileImage | None, lines: Sequence[bytes]) -> bool:
    if not hunk.lines or change.kind in ("binary", "symlink", "combined", "copied"):
        return False
    if change.kind == "deleted":
        return image is None
    if image is None or is_opaque(image.data):
        return False
    start = _start(hunk)
    after = [line_bytes(line) for line in hunk.lines if line.kind != "removed"]
    return list(lines[start : start + hunk.after_count]) == after
