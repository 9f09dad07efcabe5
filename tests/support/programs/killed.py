"""Decisions that the system kills: a process makes one decision again and again over real files, and is
killed with SIGKILL before each thing in turn that it does to a file. After each death a new process opens the
review and says what it finds.

Run as `python -m tests.support.programs.killed DECISION DIRECTORY`; prints one line of JSON, see `Report`.
"""

import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from app.review.disk import WorkTree
from app.review.log import ledger
from app.review.log.entries import Edited
from app.review.log.store import FileStore
from app.review.model import FileImage, Selection
from app.review.review import Review
from app.review.written.instead import Piece
from tests.support.review.review_cases import git, keep_all, reject_all

# What does something to a file or directory, by the name of the C function.
_DEEDS = frozenset(
    [
        "open",
        "write",
        "flush",
        "fsync",
        "close",
        "truncate",
        "replace",
        "rename",
        "unlink",
        "remove",
        "mkdir",
        "rmdir",
        "chmod",
        "fchmod",
        "symlink",
        "fork_exec",
    ]
)

Tree = dict[str, str]


@dataclass(frozen=True)
class Finding:
    """What a new process found: the files, what is under review, the number of the user's edits."""

    tree: Tree
    shown: str
    users_edits: int
    head: str


@dataclass
class Report:
    """`old` and `new` are the states without and with the decision. `found` are what was found after each
    death, equal ones next to one another counted once, and `deaths` how many there were."""

    old: Finding
    new: Finding
    deaths: int = 0
    found: list[Finding] = field(default_factory=list)


class Axe:
    """A profile function that kills the process before its `point`-th deed; nothing is
    seen from outside of what lies between two of them."""

    def __init__(self, point: int) -> None:
        self._left = point
        self._has_child = False

    def __call__(self, _: FrameType, event: str, arg: Any) -> None:
        name = getattr(arg, "__name__", "")
        # Whatever git does goes on when we are dead, so no death between its start and its end.
        if event == "c_return":
            self._has_child = (self._has_child or name == "fork_exec") and name != "waitpid"
        if event == "c_call" and name in _DEEDS and not self._has_child:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Place:
    """A work tree and a review's folder beside it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.root = directory / "root"

    def open(self) -> Review:
        return Review(self.root, self._store(), WorkTree(self.root))

    def _store(self) -> FileStore:
        return FileStore(self._directory / "store")

    def copy(self, name: str) -> "Place":
        target = self._directory.parent / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self._directory, target, symlinks=True)
        return Place(target)

    def look(self) -> Finding:
        shown = repr(self.open().changes())
        edits = sum(isinstance(entry, Edited) and entry.owner == "user" for entry in self._store().everything())
        head = git(self.root, "rev-parse", "HEAD^{tree}").decode() if (self.root / ".git").exists() else ""
        return Finding(self._tree(), shown, edits, head)

    def _tree(self) -> Tree:
        found: Tree = {}
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if name.startswith(".git/") or name == ".git":
                continue
            facts = path.lstat()
            if stat.S_ISLNK(facts.st_mode):
                found[name] = f"link {path.readlink()}"
            elif stat.S_ISDIR(facts.st_mode):
                found[name] = "directory"
            else:
                found[name] = f"{stat.S_IMODE(facts.st_mode):o} {path.read_bytes()!r}"
        return found


def prepare(place: Place) -> None:
    """A turn that changed a file, removed one with its directory, made an executable in a new one and turned a
    link elsewhere."""
    root = place.root
    (root / "b").mkdir(parents=True)
    for path in ("a", "b/c"):
        (root / path).write_bytes(b"1\n2\n3\n")
    (root / "link").symlink_to("a")
    review = place.open()
    review.begin_turn(1)
    agent_writes(place, review, "a", FileImage(b"1\ntwo\n3\n"))
    agent_writes(place, review, "b/c", None)
    (root / "b").rmdir()
    agent_writes(place, review, "d/e", FileImage(b"new\n", 0o100755))
    agent_writes(place, review, "link", FileImage(b"d/e", 0o120000))
    review.end_turn(1)


def prepare_repository(place: Place) -> None:
    """The same in a repository, with all of it kept."""
    place.root.mkdir(parents=True)
    git(place.root, "init", "--quiet")
    (place.root / "a").write_bytes(b"1\n2\n3\n")
    git(place.root, "add", ".")
    git(place.root, "commit", "--quiet", "--message=one")
    review = place.open()
    review.begin_turn(1)
    agent_writes(place, review, "a", FileImage(b"1\ntwo\n3\n"))
    agent_writes(place, review, "d/e", FileImage(b"new\n", 0o100755))
    review.end_turn(1)
    keep_all(review)


def agent_writes(place: Place, review: Review, path: str, image: FileImage | None) -> None:
    disk = WorkTree(place.root)
    review.record(path, disk.read(path), image)
    disk.write(path, image)


def nothing(review: Review) -> None:
    """No decision yet."""


@dataclass(frozen=True)
class Decision:
    """What is decided; `before` is what was decided earlier, `long` how many entries make a long log."""

    act: Callable[[Review], object]
    before: Callable[[Review], object] = nothing
    prepare: Callable[[Place], None] = prepare
    long: int = ledger.LONG


def some_lines(review: Review) -> Selection:
    hunk = review.changes()[0].hunks[0]
    return {hunk.id: frozenset({next(n for n, line in enumerate(hunk.lines) if line.kind == "added")})}


def take(review: Review) -> None:
    """All of the turn: a file otherwise, one back again and another in a new folder; the link stays away."""
    piece = Piece(turn=review.turns()[0].serial)
    begun = {**review.written.facts(piece).before, "n/new": None}
    after = {"a": FileImage(b"1\nzwei\n3\n"), "n/new": FileImage(b"taken\n")}
    review.written.put_instead(piece, begun, begun | after)


DECISIONS = {
    "reject": Decision(reject_all),
    "take": Decision(take),
    "undo take": Decision(Review.undo, before=take),
    "undo": Decision(Review.undo, before=reject_all),
    "redo": Decision(Review.redo, before=lambda review: (reject_all(review), review.undo())),
    "keep": Decision(keep_all),
    "reject lines": Decision(lambda review: review.reject_selected(some_lines(review))),
    "rewind": Decision(lambda review: review.rewind(1), before=keep_all),
    "replace": Decision(
        lambda review: review.replace_files("Applied", {"a": None, "x/y": FileImage(b"x\n"), "link": None})
    ),
    "compact": Decision(lambda review: review._ledger.compact(), before=reject_all, long=1),
    "commit": Decision(lambda review: review.commit("two"), prepare=prepare_repository),
}


def in_child(act: Callable[[], object]) -> tuple[int, bytes]:
    """Run in a process of its own; its status as waitpid gives it, and what `act` returned, as JSON."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            result = json.dumps(act()).encode()
            sys.setprofile(None)
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(result)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    return os.waitpid(child, 0)[1], said


def look(place: Place) -> Finding:
    status, said = in_child(lambda: asdict(place.look()))
    assert status == 0
    return Finding(**json.loads(said))


def decide(place: Place, decision: Decision, point: int) -> None:
    review = place.open()
    ledger.LONG = decision.long
    sys.setprofile(Axe(point))
    decision.act(review)
    sys.setprofile(None)


def run(decision: Decision, directory: Path) -> Report:
    first = Place(directory / "first")
    decision.prepare(first)
    decision.before(first.open())
    finished = first.copy("finished")
    assert in_child(lambda: decide(finished, decision, 0))[0] == 0
    report = Report(look(first.copy("old")), look(finished))
    for point in count(1):
        place = first.copy("place")
        status, _ = in_child(lambda place=place, point=point: decide(place, decision, point))
        found = look(place)
        if not report.found or report.found[-1] != found:
            report.found.append(found)
        if status == 0:
            return report
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        report.deaths += 1
    raise AssertionError


if __name__ == "__main__":
    print(json.dumps(asdict(run(DECISIONS[sys.argv[1]], Path(sys.argv[2])))))
