"""What git says of the workspace. Every method blocks on a git process: call it in a thread."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from app.git.conflicts import need_resolved
from app.git.errors import GitMissing
from app.git.git import Git
from app.git.operations import operation_in
from app.workspace.model import FileStatus, RepositoryStatus, StatusCode

if TYPE_CHECKING:
    import git

# GitPython looks for the executable when it is imported and raises where there is none, unless told not to.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

_CODES: dict[str, StatusCode] = {
    "M": "modified",
    "T": "modified",
    "A": "added",
    "C": "added",
    "D": "deleted",
    "R": "renamed",
    "U": "conflicted",
}


class GitRepository:
    """The repository that the workspace lies in, if there is one.

    `notice` says in one sentence why git features are off, "" while they are on; every call of `status` brings
    it up to date.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._repository: git.Repo | None = None
        self.notice = ""

    def _open(self) -> "git.Repo | None":
        import git  # noqa: PLC0415 - a tenth of a second that the first frame need not wait for

        if self._repository is not None and Path(self._repository.git_dir).is_dir():
            return self._repository
        self._repository = None
        try:
            repository = git.Repo(self._root, search_parent_directories=True)
        except (git.InvalidGitRepositoryError, git.NoSuchPathError):
            self.notice = f"{self._root.name} is not in a git repository: git features are off"
            return None
        if repository.working_tree_dir is None:
            self.notice = "this is a bare git repository: git features are off"
            return None
        self._repository = repository
        return repository

    @property
    def directory(self) -> Path | None:
        """The git directory: of this worktree, where there are several. None outside a repository."""
        repository = self._open()
        return Path(repository.git_dir) if repository else None

    def outer_directories(self, root: Path) -> tuple[Path, ...]:
        """The git directories outside `root` that git writes to: this worktree's own, and the one all share.
        Empty outside a repository."""
        repository = self._open()
        if repository is None:
            return ()
        found = dict.fromkeys(
            Path(os.path.realpath(place)) for place in (repository.common_dir, repository.git_dir)
        )
        return tuple(place for place in found if place.is_dir() and not place.is_relative_to(root))

    @property
    def top(self) -> Path | None:
        """The root of the work tree, which may be above the workspace. None outside a repository."""
        repository = self._open()
        return Path(os.path.realpath(str(repository.working_tree_dir))) if repository else None

    def status(self) -> RepositoryStatus | None:
        """git status of what lies in the workspace; None where git features are off (see `notice`)."""
        repository = self._open()
        if repository is None:
            return None
        git = Git(self._root)
        try:
            answer = git.ask(
                *("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all"),
                # Above what a .gitmodules says: in a submodule git would do what its configuration says, which
                # whoever put it there wrote.
                *("--ignore-submodules=dirty", "--", "."),
            )
        except GitMissing:
            self.notice = "git was not found: git features are off until it is installed"
            return None
        if answer.status:
            first = answer.complaint.splitlines() or ["no reason given"]
            self.notice = f"git could not say what changed: {first[0].strip()}"
            return None
        self.notice = ""
        return parse_status(answer.output, git.prefix, operation_in(Path(repository.git_dir)))

    def indexed(self, path: str) -> bytes | None:
        """What the index has of the file at `path`, relative to the workspace; None where it has none, or git
        features are off. Raises GitError."""
        if self._open() is None:
            return None
        answer = Git(self._root).ask("cat-file", "blob", f":./{path}")
        return None if answer.status else answer.output

    def stage(self, path: str) -> None:
        """Put a file, or what has changed in a folder, into the index. Raises GitError, as well where conflicts
        are not resolved in it."""
        need_resolved(self._root, path)
        Git(self._root).run("--literal-pathspecs", "add", "-A", "--", path)

    def unstage(self, path: str) -> None:
        """Take it out of the index again; the work tree does not change. Raises GitError."""
        git = Git(self._root)
        if git.head:
            git.run("--literal-pathspecs", "reset", "--quiet", "HEAD", "--", path)
        else:
            git.run("--literal-pathspecs", "rm", "--cached", "-r", "--quiet", "--", path)


def parse_status(output: bytes, prefix: str = "", operation: str | None = None) -> RepositoryStatus:
    """The output of `git status --porcelain=v2 --branch -z`; paths are cut to what lies below `prefix`, which
    ends with a slash unless empty."""
    branch: str | None = None
    head: str | None = None
    ahead = behind = 0
    files: dict[str, FileStatus] = {}
    records = iter(output.split(b"\0"))
    for record in records:
        text = os.fsdecode(record)
        kind, _, rest = text.partition(" ")
        if kind == "#":
            key, _, value = rest.partition(" ")
            if key == "branch.oid":
                head = None if value == "(initial)" else value
            elif key == "branch.head":
                branch = None if value == "(detached)" else value
            elif key == "branch.ab":
                forward, _, back = value.partition(" ")
                ahead, behind = int(forward), -int(back)
        elif kind in ("1", "2"):
            # XY sub mH mI mW hH hI path, and behind a rename's Xscore its old path as a record of its own
            fields = rest.split(" ", 7 if kind == "1" else 8)
            files[fields[-1].removeprefix(prefix)] = FileStatus(
                worktree=_CODES.get(fields[0][1]), index=_CODES.get(fields[0][0])
            )
            if kind == "2":
                next(records, None)
        elif kind == "u":
            files[rest.split(" ", 9)[-1].removeprefix(prefix)] = FileStatus("conflicted", "conflicted")
        elif kind == "?":
            files[rest.removeprefix(prefix)] = FileStatus(worktree="untracked")
    return RepositoryStatus(branch, head, ahead, behind, operation, files)
