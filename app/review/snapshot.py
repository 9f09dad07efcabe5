"""What shell commands changed: the workspace before a turn, against the workspace after it.

Before a turn, every file that git calls changed or untracked is copied into the store; a tracked file that is
clean can be had from its commit later. Outside a repository all files are copied. Afterwards whatever differs
is a change, with both sides known.

Not covered: files that git ignores and that no command names; files larger than `LARGEST_FILE`; what is beyond
`MOST_FILES` or `MOST_BYTES` of files that were changed or untracked already, or that a command changes; what
happens inside nested repositories; empty directories. What a user changes in another program while a command
runs cannot be told from what the command changes; between commands it can, and what is edited from here can at
any time.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.git.errors import GitError
from app.git.git import Git
from app.review.checkout import images
from app.review.diff.compare import MAX_TEXT_BYTES
from app.review.disk import Disk
from app.review.log.entries import ImageName
from app.review.model import FileImage

LARGEST_FILE = MAX_TEXT_BYTES
MOST_FILES = 5000  # files looked at
MOST_BYTES = 256 * 1024 * 1024  # of all files copied
MOST_IN_NAMED = 50
"""Files in a directory that a command names; one with more is left to whoever made it."""
# File systems stamp with a coarser clock than the one that is read here.
_CLOCK_SLACK_NS = 1_000_000_000
_NOT_THERE = ImageName("", 0)
_SKIPPED_DIRECTORIES = {".git", ".hg", ".svn", ".venv", "node_modules", "__pycache__"}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`files` has the image of each file that could not be had otherwise; None where there was something that
    was not copied. `complete` is false where files beyond the limits were not looked at."""

    head: str
    repository: bool
    files: Mapping[str, ImageName | None]
    complete: bool
    taken_ns: int

    def record(self) -> dict[str, Any]:
        """As plain data for the log."""
        files = {path: [name.blob, name.mode] if name else None for path, name in self.files.items()}
        return {
            "head": self.head,
            "repository": self.repository,
            "files": files,
            "complete": self.complete,
            "taken_ns": self.taken_ns,
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Snapshot":
        """The inverse of `record`."""
        files = {path: ImageName(*name) if name else None for path, name in record["files"].items()}
        return cls(record["head"], record["repository"], files, record["complete"], record["taken_ns"])


# What a file was by lstat when it was read, and its content's name: while the one holds, so does the other.
Memory = dict[str, tuple[tuple[int, ...], ImageName]]


def take(
    root: Path,
    disk: Disk,
    put: Callable[[FileImage], ImageName],
    now_ns: int,
    memory: Memory,
    *,
    named: Iterable[str] = (),
) -> Snapshot:
    """Copy what a turn could change for good, files and small directories that were `named` among it; what
    `memory` knows is not read again. Raises OSError from `put`."""
    git = Git(root)
    repository = git.is_repository
    try:
        paths, complete = _dirty(git) if repository else _all_files(root)
    except GitError:
        # A damaged index, for instance: the workspace shows git's error, and the turn runs without git.
        repository = False
        paths, complete = _all_files(root)
    files: dict[str, ImageName | None] = {}
    total = 0
    for path in dict.fromkeys([*paths, *_files_in(root, named)]):
        files[path] = None
        try:
            facts = (root / path).lstat()
            size = facts.st_size
            if size <= LARGEST_FILE and total + size <= MOST_BYTES:
                if known := _known(facts, path, memory):
                    files[path] = known
                    total += size
                    continue
                image = disk.read(path)
                name = files[path] = put(image) if image else _NOT_THERE
                total += size if image else 0
                # Written a moment ago, it may be written again within the same tick of the clock.
                if image and facts.st_ctime_ns < now_ns - _CLOCK_SLACK_NS:
                    memory[path] = (_signature(facts), name)
        except (FileNotFoundError, NotADirectoryError):
            # Deleted and not yet committed.
            files[path] = _NOT_THERE
        except OSError:
            # A socket, or no permission: left as unknown, and so never touched by a decision.
            continue
    return Snapshot(git.head if repository else "", repository, files, complete, now_ns)


def _signature(facts: os.stat_result) -> tuple[int, ...]:
    return (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_mode)


def _known(facts: os.stat_result, path: str, memory: Memory) -> ImageName | None:
    found = memory.get(path)
    return found[1] if found and found[0] == _signature(facts) else None


def differences(
    root: Path,
    disk: Disk,
    snapshot: Snapshot,
    content: Callable[[ImageName | None], FileImage | None],
    memory: Memory,
) -> dict[str, tuple[FileImage | None, FileImage | None]]:
    """What differs now from the snapshot: before and after, by path. Files that cannot be read are left out."""
    git = Git(root)
    repository = snapshot.repository and git.is_repository
    paths = set(snapshot.files)
    # Where not everything was looked at, nothing can be said of the rest.
    if snapshot.complete and repository:
        with suppress(
            GitError
        ):  # what a command did to the index may not hide what it did to files known before
            paths.update(_dirty(git)[0])
        if snapshot.head and git.head != snapshot.head:
            changed = git.run(
                "diff-tree", "-r", "-z", "--relative", "--name-only", "--no-renames", snapshot.head, "HEAD"
            )
            paths.update(_names(changed))
    elif snapshot.complete:
        paths.update(_all_files(root)[0])
    clean = images(git, snapshot.head, paths - set(snapshot.files)) if repository else {}
    result: dict[str, tuple[FileImage | None, FileImage | None]] = {}
    total = 0
    for path in sorted(paths):
        if path in snapshot.files:
            name = snapshot.files[path]
            if name is None or (path in memory and _is_unchanged(root / path, path, name, memory)):
                continue
            before = content(name) if name.blob else None
        else:
            before = clean.get(path)
        try:
            facts = _facts(root / path)
            if facts and (facts.st_size > LARGEST_FILE or total + facts.st_size > MOST_BYTES):
                continue
            after = disk.read(path) if facts else None
        except OSError:
            continue
        # It was there all along, out of git's sight: an ignore rule has changed, and nobody wrote it.
        if facts and before is None and facts.st_ctime_ns < snapshot.taken_ns - _CLOCK_SLACK_NS:
            continue
        if before != after:
            result[path] = (before, after)
            total += len(after.data) if after else 0
    return result


def _facts(place: Path) -> os.stat_result | None:
    try:
        return place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_unchanged(place: Path, path: str, name: ImageName, memory: Memory) -> bool:
    try:
        return _known(place.lstat(), path, memory) == name
    except OSError:
        return False


def _dirty(git: Git) -> tuple[list[str], bool]:
    """Paths that git calls changed or untracked, relative to the directory."""
    answer = git.run("status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--", ".")
    prefix = git.prefix
    paths: list[str] = []
    for record in answer.split(b"\0")[:-1]:
        path = record[3:].decode("utf-8", "surrogateescape")
        if not path.endswith("/"):
            paths.append(path.removeprefix(prefix))
    return paths[:MOST_FILES], len(paths) <= MOST_FILES


def _files_in(root: Path, named: Iterable[str]) -> Iterable[str]:
    """The regular files among `named`, and those in directories that have few: a file that git ignores is worth
    a copy where a command is about to touch it, what a build made is not."""
    for path in named:
        place = root / path
        if place.is_symlink() or ".git" in Path(path).parts:
            continue
        if place.is_file():
            yield path
        elif place.is_dir() and place.name not in _SKIPPED_DIRECTORIES:
            found = [
                (Path(directory) / name).relative_to(root).as_posix()
                for directory, directories, names in _walk(place)
                for name in names
            ]
            yield from found if len(found) <= MOST_IN_NAMED else ()


def _walk(place: Path) -> Iterable[tuple[str, list[str], list[str]]]:
    seen = 0
    for directory, directories, names in os.walk(place):
        directories[:] = [name for name in directories if name not in _SKIPPED_DIRECTORIES]
        yield directory, directories, names
        seen += len(names)
        if seen > MOST_IN_NAMED:
            return


def not_covered(git: Git) -> str:
    """Where what commands do is not seen, in words; "" where everything is seen but files that git ignores and
    that no command named."""
    if not git.is_repository:
        return "" if _all_files(git.root)[1] else f"this directory, which has more than {MOST_FILES:,} files"
    try:
        answer = git.run("status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--", ".")
        modules = git.run("ls-files", "-s", "-z", "--", ".")
    except GitError:
        return "this repository, of which git cannot say what changed"
    records = [os.fsdecode(record) for record in answer.split(b"\0")[:-1]]
    nested = [record[3:].removeprefix(git.prefix).rstrip("/") for record in records if record.endswith("/")]
    nested += [
        os.fsdecode(record.partition(b"\t")[2])
        for record in modules.split(b"\0")
        if record.startswith(b"160000")
    ]
    words = [f"the nested repositories {', '.join(sorted(set(nested)))}"] if nested else []
    if len(records) > MOST_FILES:
        words.append(f"files beyond the first {MOST_FILES:,} that are untracked or changed")
    return " and ".join(words)


def _names(answer: bytes) -> Iterable[str]:
    return (name.decode("utf-8", "surrogateescape") for name in answer.split(b"\0")[:-1])


def _all_files(root: Path) -> tuple[list[str], bool]:
    paths: list[str] = []
    for directory, directories, names in os.walk(root):
        directories[:] = sorted(set(directories) - _SKIPPED_DIRECTORIES)
        for name in sorted(names):
            if len(paths) == MOST_FILES:
                return paths, False
            paths.append((Path(directory) / name).relative_to(root).as_posix())
    return paths, True
