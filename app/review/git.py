"""git, as review uses it: plumbing commands whose output does not depend on the user's settings."""

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said."""

    status: int
    output: bytes
    complaint: str


class Git:
    """git run in a directory. Where there is no repository or no git, `is_repository` is false."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def ask(self, *arguments: str, data: bytes = b"", environment: Mapping[str, str] | None = None) -> Answer:
        """Run a command and take whatever it answers. Raises ReviewError when git is not installed."""
        try:
            done = subprocess.run(
                ["git", "-c", "core.quotePath=true", *arguments],
                cwd=self.root,
                input=data,
                capture_output=True,
                check=False,
                env={
                    **os.environ,
                    "LC_ALL": "C.UTF-8",
                    "GIT_TERMINAL_PROMPT": "0",
                    "GIT_OPTIONAL_LOCKS": "0",
                    **(environment or {}),
                },
            )
        except FileNotFoundError as error:
            raise ReviewError("git was not found", "install git to stage and commit") from error
        return Answer(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace").strip())

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
        places = (self.root.absolute(), *self.root.absolute().parents)
        if "GIT_DIR" not in os.environ and not any((place / ".git").exists() for place in places):
            return False
        try:
            return self.line("rev-parse", "--is-inside-work-tree") == "true"
        except ReviewError:
            return False

    @property
    def head(self) -> str:
        """The commit that is checked out, "" before the first."""
        return self.line("rev-parse", "--verify", "--quiet", "HEAD^{commit}")

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
        directory = self.directory
        return next((word for name, word in _OPERATIONS.items() if (directory / name).exists()), "")

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
        plain = {path: entry for path, entry in entries.items() if entry[0] != _SYMLINK and "\n" not in path}
        asked = b"".join(
            f"{blob} {path}\n".encode("utf-8", "surrogateescape") for path, (_, blob) in plain.items()
        )
        contents = dict(zip(plain, self._batch(asked, "--filters", len(plain)), strict=True)) if plain else {}
        for path, (_, blob) in entries.items():
            if path not in plain:
                contents[path] = self.run("cat-file", "blob", blob)
        return {path: FileImage(contents[path], mode) for path, (mode, _) in entries.items()}

    def _batch(self, asked: bytes, option: str, count: int) -> list[bytes]:
        answer = self.run("cat-file", "--batch", option, data=asked)
        result: list[bytes] = []
        at = 0
        for _ in range(count):
            end = answer.index(b"\n", at)
            size = int(answer[at:end].split()[2])
            result.append(answer[end + 1 : end + 1 + size])
            at = end + 1 + size + 1
        return result
