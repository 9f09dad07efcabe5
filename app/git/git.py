"""Running git: plumbing commands whose output does not depend on the user's settings."""

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from app.git.errors import GitError, GitMissing
from app.git.operations import operation_in

_PATHS = ("--show-toplevel", "--absolute-git-dir", "--show-prefix")
_PORTION = 1 << 20  # bytes of a long answer at a time


@dataclass(frozen=True, slots=True)
class GitResult:
    """How a command ended: its exit status, standard output, and standard error as text."""

    status: int
    output: bytes
    complaint: str


@dataclass(frozen=True, slots=True)
class RepositoryPaths:
    """`top` is the work tree's root, `directory` its git directory, `prefix` the path from the root to the
    directory that was asked about, "" or ending in a slash."""

    top: Path
    directory: Path
    prefix: str

    @property
    def operation(self) -> str:
        """What is under way ("merge", "rebase", ...), "" if nothing."""
        return operation_in(self.directory) or ""


class Git:
    """git run in a directory. Where there is no repository or no git, `is_repository` is false.

    Every method blocks on a git process: call it in a thread. Raises GitError. git and what it starts have no
    terminal: what would ask for a passphrase there fails, and says so, instead of reading the screen's keys.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def ask(
        self, *arguments: str, data: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> GitResult:
        """Run a command and take whatever it answers. Raises GitError when git is not installed."""
        try:
            done = subprocess.run(
                _command(arguments),
                cwd=self.root,
                input=data,
                capture_output=True,
                check=False,
                env=_offline(environment),
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise GitMissing() from error
        return GitResult(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace").strip())

    def ask_with_hooks(
        self, *arguments: str, data: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> GitResult:
        """Run a command that runs the user's hooks, as `ask` does. What a hook leaves running in the background
        is not waited for, and hooks may use the network."""
        with TemporaryFile() as given, TemporaryFile() as said, TemporaryFile() as told:
            given.write(data)
            given.seek(0)
            try:
                done = subprocess.run(
                    _command(arguments),
                    cwd=self.root,
                    stdin=given,
                    stdout=said,
                    stderr=told,
                    check=False,
                    env=_environment(environment),
                    start_new_session=True,
                )
            except FileNotFoundError as error:
                raise GitMissing() from error
            said.seek(0)
            told.seek(0)
            complaint = told.read().decode("utf-8", "replace").strip()
            return GitResult(done.returncode, said.read(), complaint)

    def stream(self, *arguments: str) -> Iterator[bytes]:
        """The output of a command that must succeed, in portions, while the command makes it. Raises
        GitError as `run` does, when the output has ended."""
        with TemporaryFile() as complaint:
            try:
                process = subprocess.Popen(
                    _command(arguments),
                    cwd=self.root,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=complaint,
                    env=_offline(None),
                    start_new_session=True,
                )
            except FileNotFoundError as error:
                raise GitMissing() from error
            with process:
                assert process.stdout is not None
                # read1: what there is, instead of waiting until the portion is full.
                while portion := process.stdout.read1(_PORTION):  # type: ignore[attr-defined]
                    yield portion
            if process.returncode:
                complaint.seek(0)
                said = complaint.read().decode("utf-8", "replace").strip()
                raise _failure(arguments, said, process.returncode)

    def run(self, *arguments: str, data: bytes = b"", environment: Mapping[str, str] | None = None) -> bytes:
        """Run a command that must succeed; returns its output. Raises GitError with git's own words."""
        answer = self.ask(*arguments, data=data, environment=environment)
        if answer.status:
            raise _failure(arguments, answer.complaint, answer.status)
        return answer.output

    def line(self, *arguments: str) -> str:
        """The one line a command answers, "" when it fails."""
        answer = self.ask(*arguments)
        return os.fsdecode(answer.output).rstrip("\n") if answer.status == 0 else ""

    @property
    def is_repository(self) -> bool:
        """Whether the directory lies in a work tree."""
        return self.paths() is not None

    @property
    def trouble(self) -> str:
        """Why git refuses a repository that is there (its owner, its configuration), in git's own words; "" if
        it does not, or where there is none."""
        answer = self.ask("rev-parse", "--git-dir")
        if not answer.status or "not a git repository" in answer.complaint:
            return ""
        return answer.complaint.removeprefix("fatal: ")

    @property
    def lacks_work_tree(self) -> bool:
        """Whether the directory is in a repository but in no work tree: a bare one, or a git directory."""
        return self.line("rev-parse", "--is-inside-work-tree") == "false"

    def paths(self) -> RepositoryPaths | None:
        """The paths of the work tree that the directory lies in; None outside one."""
        above = (self.root.absolute(), *self.root.absolute().parents)
        if "GIT_DIR" not in os.environ and not any((one / ".git").exists() for one in above):
            return None
        try:
            answer = self.ask("rev-parse", *_PATHS)
        except GitError:
            return None
        # Each on a line, and a path may hold one more: then they are asked for one by one.
        found = os.fsdecode(answer.output).split("\n")[:-1] if answer.status == 0 else []
        if len(found) > 3:
            found = [self.line("rev-parse", one) for one in _PATHS]
        return RepositoryPaths(Path(found[0]), Path(found[1]), found[2]) if len(found) == 3 else None

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
        paths = self.paths()
        return paths.operation if paths is not None else ""

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


def _command(arguments: tuple[str, ...]) -> list[str]:
    # In a submodule git would do what its configuration says, which whoever put it there wrote. A monitor of
    # the file system is a program that a repository's configuration may name.
    settings = ("core.quotePath=true", "diff.ignoreSubmodules=dirty", "core.fsmonitor=false")
    return ["git", *(word for setting in settings for word in ("-c", setting)), *arguments]


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    plain = {"LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    kept = {name: value for name, value in os.environ.items() if name != "GPG_TTY"}
    return {**kept, **plain, **(more or {})}


def _offline(more: Mapping[str, str] | None) -> dict[str, str]:
    """The environment of commands that look: no content of a partial clone is fetched (git before 2.45 knows
    only the second variable, an empty list of protocols)."""
    return {**_environment(more), "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": ""}


def _failure(arguments: Sequence[str], complaint: str, status: int) -> GitError:
    if any(words in complaint for words in ("promisor", "lazy fetch", "not allowed")):
        return GitError(
            "A content that git needs is not on this machine, since this is a partial clone",
            "fetch it with git (git fetch --refetch, or git checkout of that commit)",
        )
    return GitError(f"git {_name(arguments)} failed", complaint or f"exit status {status}")


def _name(arguments: Sequence[str]) -> str:
    """The command's name, before which options may stand."""
    left = iter(arguments)
    for word in left:
        if word in ("-C", "-c"):
            next(left, None)
        elif not word.startswith("-"):
            return word
    return "command"
