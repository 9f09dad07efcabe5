"""The git worktrees of a repository in which agents work: each a folder of its own, on a branch of its own.

What the user has brought over from a worktree is kept as a tree object under `refs/tidegate/brought/`: the
worktree differs from that tree by what is still to be reviewed.
"""

import hashlib
import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.git.git import Git
from app.paths import data_directory
from app.review.desks.sources import DIFF_FORM
from app.worktrees.errors import WorktreeError

_BRANCH = "tidegate/"
_BROUGHT = "refs/tidegate/brought/"
_LONGEST_NAME = 40  # characters
_MOST_WORDS = 4  # of a task, in the name that is made of it


@dataclass(frozen=True, slots=True)
class Worktree:
    """`top` is the worktree's folder, `root` the directory in it that stands for the workspace's own root."""

    name: str
    top: Path
    root: Path

    @property
    def branch(self) -> str:
        """The branch that it is on when it is made."""
        return _BRANCH + self.name


class Worktrees:
    """The worktrees of the repository that the workspace at `root` lies in. Every method blocks on git, so call
    it in a thread, and raises GitError."""

    def __init__(self, root: Path) -> None:
        self._git = Git(root)

    def listed(self) -> tuple[Worktree, ...]:
        """Those that were made here and are still there, by name."""
        if not self._git.is_repository:
            return ()
        answer = self._git.run("worktree", "list", "--porcelain", "-z")
        folders = (
            Path(os.fsdecode(field.removeprefix(b"worktree ")))
            for field in answer.split(b"\0")
            if field.startswith(b"worktree ")
        )
        home = self._home
        found = [self._at(folder) for folder in folders if folder.parent == home and folder.is_dir()]
        return tuple(sorted(found, key=lambda one: one.name))

    def create(self, task: str) -> Worktree:
        """Make one at the commit that is checked out, named after the first words of `task`. Raises
        WorktreeError where there is no repository or no commit."""
        if not self._git.is_repository:
            raise WorktreeError(
                "An agent beside you works in a git worktree, and this is no git repository", "run git init"
            )
        head = self._git.head
        if not head:
            raise WorktreeError(
                "An agent beside you begins at the last commit, and there is none", "commit first"
            )
        home = self._home
        home.mkdir(parents=True, exist_ok=True)
        name = self._free_name(name_of(task))
        # What remains of a folder that was removed by hand.
        self._git.run("worktree", "prune")
        # The user's hooks run as they do for any worktree.
        made = self._git.ask_with_hooks("worktree", "add", "-b", _BRANCH + name, "--", str(home / name), head)
        if made.status:
            why = made.complaint.splitlines()[-1] if made.complaint else f"exit status {made.status}"
            raise WorktreeError("git made no worktree", why)
        worktree = self._at(home / name)
        self.set_brought(worktree, head)
        return worktree

    def patch(self, worktree: Worktree) -> bytes:
        """What has changed in a worktree, new files too, since it was made or its changes were brought over."""
        git = Git(worktree.root)
        with _index(git) as environment:
            git.run("add", "-A", "--", ".", environment=environment)
            return git.run(
                "diff", "--cached", "--binary", *DIFF_FORM, self.brought(worktree), environment=environment
            )

    def brought(self, worktree: Worktree) -> str:
        """The tree, or the commit, with which a worktree is compared."""
        return self._git.run("rev-parse", "--verify", _BROUGHT + worktree.name).decode().strip()

    def bring(self, worktree: Worktree, patches: Iterable[bytes]) -> None:
        """Have these patches count as brought over."""
        git = self._git
        with _index(git) as environment:
            git.run("read-tree", self.brought(worktree), environment=environment)
            directory = (f"--directory={git.prefix}",) if git.prefix else ()
            for patch in patches:
                arguments = ("apply", "--cached", "--unidiff-zero", "--whitespace=nowarn", *directory)
                git.run(*arguments, data=patch, environment=environment)
            tree = git.run("write-tree", environment=environment).decode().strip()
        self.set_brought(worktree, tree)

    def set_brought(self, worktree: Worktree, tree: str) -> None:
        """Compare the worktree with this tree from now on."""
        self._git.run("update-ref", _BROUGHT + worktree.name, tree)

    def remove(self, worktree: Worktree) -> str:
        """Remove a worktree's folder, whatever is in it, and its branch unless commits are on no other; returns
        a sentence."""
        self._git.run("worktree", "remove", "--force", "--force", "--", str(worktree.top))
        shutil.rmtree(worktree.top, ignore_errors=True)  # what git does not know, such as ignored folders
        self._git.ask("update-ref", "-d", _BROUGHT + worktree.name)
        kept = self._git.ask("branch", "--delete", "--", worktree.branch).status != 0
        has_commits = kept and bool(self._git.line("rev-parse", "--verify", "--quiet", worktree.branch))
        return f"Its commits stay on the branch {worktree.branch}." if has_commits else ""

    @property
    def _home(self) -> Path:
        shared = Path(os.path.realpath(self._git.root / self._git.line("rev-parse", "--git-common-dir")))
        name = hashlib.sha256(os.fsencode(shared)).hexdigest()[:16]
        return Path(os.path.realpath(data_directory())) / "worktrees" / name

    def _at(self, folder: Path) -> Worktree:
        return Worktree(folder.name, folder, folder / self._git.prefix)

    def _free_name(self, name: str) -> str:
        branches = (
            self._git.run("for-each-ref", "--format=%(refname)", f"refs/heads/{_BRANCH}").decode().split("\n")
        )
        number = 1
        wanted = name
        while f"refs/heads/{_BRANCH}{wanted}" in branches or (self._home / wanted).exists():
            number += 1
            wanted = f"{name}-{number}"
        return wanted


def name_of(task: str) -> str:
    """A name for a folder and a branch, of the first words of a task: letters of ASCII, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", task).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)[:_MOST_WORDS]
    return "-".join(words)[:_LONGEST_NAME].strip("-") or "agent"


@contextmanager
def _index(git: Git) -> Iterator[Mapping[str, str]]:
    """The environment for a copy of the index, so that the real one stays as it is."""
    with tempfile.TemporaryDirectory(prefix="tidegate-") as folder:
        copy = Path(folder) / "index"
        index = git.root / git.line("rev-parse", "--git-path", "index")
        if index.is_file():
            shutil.copy(index, copy)
        yield {"GIT_INDEX_FILE": str(copy)}
