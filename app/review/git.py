"""git, as review uses it: plumbing commands whose output does not depend on the user's settings."""

import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.review.diff.compare import is_opaque
from app.review.errors import ReviewError
from app.review.model import FileImage

# What a marker in the git directory says is under way.
_OPERATIONS = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}
_SYMLINK = 0o120000
_PLACES = ("--show-toplevel", "--absolute-git-dir", "--show-prefix")
_PORTION = 1 << 20  # bytes of a long answer at a time


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said."""

    status: int
    output: bytes
    complaint: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a work tree is: its root, its git directory, and the way from the root to where we are."""

    top: Path
    directory: Path
    prefix: str

    @property
    def operation(self) -> str:
        """What is under way ("merge", "rebase", ...), "" if nothing."""
        return next((word for name, word in _OPERATIONS.items() if (self.directory / name).exists()), "")


class Git:
    """git run in a directory. Where there is no repository or no git, `is_repository` is false."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def ask(self, *arguments: str, data: bytes = b"", environment: Mapping[str, str] | None = None) -> Answer:
        """Run a command and take whatever it answers. Raises ReviewError when git is not installed."""
        try:
            done = subprocess.run(
                _command(arguments),
                cwd=self.root,
                input=data,
                capture_output=True,
                check=False,
                env=_environment(environment),
            )
        except FileNotFoundError as error:
            raise _no_git() from error
        return Answer(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace").strip())

    def stream(self, *arguments: str) -> Iterator[bytes]:
        """The output of a command that must succeed, in portions, while the command makes it. Raises
        ReviewError as `run` does, when the output has ended."""
        with tempfile.TemporaryFile() as complaint:
            try:
                process = subprocess.Popen(
                    _command(arguments),
                    cwd=self.root,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=complaint,
                    env=_environment(None),
                )
            except FileNotFoundError as error:
                raise _no_git() from error
            with process:
                assert process.stdout is not None
                # read1: what there is, instead of waiting until the portion is full.
                while portion := process.stdout.read1(_PORTION):  # type: ignore[attr-defined]
                    yield portion
            if process.returncode:
                complaint.seek(0)
                said = complaint.read().decode("utf-8", "replace").strip()
                raise ReviewError(f"git {arguments[0]} failed", said or f"exit status {process.returncode}")

    def run(self, *arguments: str, data: bytes = b"", environment: Mapping[str, str] | None = None) -> bytes:
        """Run a command that must succeed; returns its output. Raises ReviewError with git's own words."""
        answer = self.ask(*arguments, data=data, environment=environment)
        if answer.status:
            raise ReviewError(f"git {arguments[0]} failed", answer.complaint or f"exit status {answer.status}")
        return answer.output

    def line(self, *arguments: str) -> str:
        """The one line a command answers, "" when it fails."""
        answer = self.ask(*arguments)
        return os.fsdecode(answer.output).rstrip("\n") if answer.status == 0 else ""

    @property
    def is_repository(self) -> bool:
        """Whether the directory lies in a work tree."""
        return self.place() is not None

    @property
    def lacks_work_tree(self) -> bool:
        """Whether the directory is in a repository but in no work tree: a bare one, or a git directory."""
        return self.line("rev-parse", "--is-inside-work-tree") == "false"

    def place(self) -> Place | None:
        """Where the work tree is that the directory lies in; None if it lies in none."""
        above = (self.root.absolute(), *self.root.absolute().parents)
        if "GIT_DIR" not in os.environ and not any((one / ".git").exists() for one in above):
            return None
        try:
            answer = self.ask("rev-parse", *_PLACES)
        except ReviewError:
            return None
        # Each on a line, and a path may hold one more: then they are asked for one by one.
        found = os.fsdecode(answer.output).split("\n")[:-1] if answer.status == 0 else []
        if len(found) > 3:
            found = [self.line("rev-parse", one) for one in _PLACES]
        return Place(Path(found[0]), Path(found[1]), found[2]) if len(found) == 3 else None

    @property
    def no_blob(self) -> str:
        """What `update-index` takes for the name of an entry that goes: zeros, as many as a name here has."""
        return "0" * (64 if self.line("rev-parse", "--show-object-format") == "sha256" else 40)

    @property
    def head(self) -> str:
        """The commit that is checked out, "" before the first."""
        return self.line("rev-parse", "--verify", "--quiet", "HEAD^{commit}")

    @property
    def last_message(self) -> str:
        """The message of the commit that is checked out, "" before the first."""
        answer = self.ask("log", "-1", "--format=%B", "--encoding=UTF-8")
        return answer.output.decode("utf-8", "replace").strip("\n") if answer.status == 0 else ""

    @property
    def top(self) -> Path:
        """The work tree's root."""
        return Path(self.run("rev-parse", "--show-toplevel").decode("utf-8", "surrogateescape").rstrip("\n"))

    @property
    def prefix(self) -> str:
        """The way from the work tree's root to this directory, "" or ending in a slash."""
        return self.line("rev-parse", "--show-prefix")

    @property
    def directory(self) -> Path:
        """The git directory of this work tree."""
        return Path(self.line("rev-parse", "--absolute-git-dir"))

    @property
    def operation(self) -> str:
        """What is under way ("merge", "rebase", ...), "" if nothing."""
        place = self.place()
        return place.operation if place is not None else ""

    def tree_entries(self, revision: str, paths: Iterable[str]) -> dict[str, tuple[int, str]]:
        """Mode and blob of these paths (relative to this directory) in a commit; missing ones are left out."""
        wanted = list(paths)
        if not revision or not wanted:
            return {}
        result: dict[str, tuple[int, str]] = {}
        for start in range(0, len(wanted), 500):
            listed = self.run(
                "--literal-pathspecs", "ls-tree", "-z", revision, "--", *wanted[start : start + 500]
            )
            for record in listed.split(b"\0")[:-1]:
                facts, _, path = record.partition(b"\t")
                mode, kind, blob = facts.decode().split()
                if kind == "blob":
                    result[path.decode("utf-8", "surrogateescape")] = (int(mode, 8), blob)
        return result

    def images(self, revision: str, paths: Iterable[str]) -> dict[str, FileImage]:
        """These paths as a checkout of the commit would write them; missing ones are left out."""
        entries = self.tree_entries(revision, paths)
        plain = {path: blob for path, (mode, blob) in entries.items() if mode != _SYMLINK and "\n" not in path}
        contents = dict(zip(plain, self._filtered(plain), strict=True))
        for path, (_, blob) in entries.items():
            if path not in plain:
                is_link = entries[path][0] == _SYMLINK
                how = ("blob",) if is_link else ("--filters", f"--path={self.prefix}{path}")
                contents[path] = self.run("cat-file", *how, blob)
        return {path: FileImage(contents[path], mode) for path, (mode, _) in entries.items()}

    def merge(self, ours: bytes, base: bytes, theirs: bytes) -> bytes | None:
        """git's three-way merge of contents; None when it is not clean."""
        if any(is_opaque(data) for data in (ours, base, theirs)):
            return None
        with tempfile.TemporaryDirectory(prefix="tidegate-") as directory:
            names = [Path(directory) / name for name in ("ours", "base", "theirs")]
            for name, data in zip(names, (ours, base, theirs), strict=True):
                name.write_bytes(data)
            answer = self.ask("merge-file", "-p", "--quiet", *map(str, names))
        return answer.output if answer.status == 0 else None

    def _filtered(self, blobs: Mapping[str, str]) -> list[bytes]:
        """The contents of blobs by path, as a checkout would write them."""
        if not blobs:
            return []
        # The size that git prints is the blob's, not that of what the filters make of it. So each content is
        # followed by a question whose answer nobody can know beforehand.
        end, prefix = f"no-{secrets.token_hex(20)}", self.prefix
        asked = "".join(f"{blob} {prefix}{path}\n{end} -\n" for path, blob in blobs.items())
        answer = self.run("cat-file", "--batch", "--filters", data=asked.encode("utf-8", "surrogateescape"))
        parts = answer.split(f"\n{end} missing\n".encode())
        return [part.partition(b"\n")[2] for part in parts[:-1]]


def _command(arguments: tuple[str, ...]) -> list[str]:
    # In a submodule git would do what its configuration says, which whoever put it there wrote.
    return ["git", "-c", "core.quotePath=true", "-c", "diff.ignoreSubmodules=dirty", *arguments]


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    plain = {"LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    return {**os.environ, **plain, **(more or {})}


def _no_git() -> ReviewError:
    return ReviewError("git was not found", "install git to stage and commit")
