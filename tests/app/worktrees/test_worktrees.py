"""Agents' worktrees: made, compared with what was brought over, and their changes brought over hunk by hunk."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.review.desks.desk import HunkPart
from app.review.desks.sources import Sources
from app.review.errors import ReviewError
from app.review.review import Review
from app.worktrees.desk import WorktreeDesk
from app.worktrees.errors import WorktreeError
from app.worktrees.worktrees import Worktree, Worktrees, name_of
from tests.support.review.review_cases import git

TEXT = "".join(f"line {n}\n" for n in range(1, 41))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    root = tmp_path / "repository" / "inner"
    root.mkdir(parents=True)
    git(root.parent, "init", "--quiet", "-b", "main")
    (root / "a b.txt").write_text(TEXT)
    (root / "dos.txt").write_bytes(b"one\r\ntwo\r\n")
    (root / "gone").write_text("gone\n")
    (root / "binary").write_bytes(b"\0one")
    (root / ".gitignore").write_text("ignored\n")
    git(root.parent, "add", "-A")
    git(root.parent, "commit", "--quiet", "-m", "one")
    return root


def beside(root: Path, task: str = "Fix the login") -> tuple[Worktree, WorktreeDesk]:
    worktrees, review = Worktrees(root), Review(root)
    worktree = worktrees.create(task)
    return worktree, WorktreeDesk(worktree, worktrees, Sources(root, review), review)


def everything(desk: WorktreeDesk) -> list[HunkPart]:
    return [HunkPart(change, hunk) for change in desk.changes() for hunk in change.hunks]


def files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir() if path.name != "ignored"}


def test_hunks_are_brought_over_one_by_one_and_taken_back(root: Path) -> None:
    worktree, desk = beside(root)
    assert (worktree.name, worktree.root.name) == ("fix-the-login", "inner")
    assert git(worktree.root, "status", "--porcelain") == b"" and desk.changes() == ()
    (worktree.root / "a b.txt").write_text(TEXT.replace("line 3\n", "three\n").replace("line 30\n", "thirty\n"))
    (worktree.root / "new.py").write_text("print()\n")
    (worktree.root / "ignored").write_text("built\n")
    (root / "a b.txt").write_text("mine\n" + TEXT)
    first = everything(desk)
    assert [part.change.path for part in first] == ["a b.txt", "a b.txt", "new.py"]
    desk.take(first[:1])
    assert (root / "a b.txt").read_text() == "mine\n" + TEXT.replace("line 3\n", "three\n")
    assert [part.hunk.id for part in everything(desk)] == [part.hunk.id for part in first[1:]]
    # Another window knows it too, and what the agent does next to it is a change of its own.
    (worktree.root / "a b.txt").write_text(TEXT.replace("line 3\n", "THREE\n"))
    changed = everything(WorktreeDesk(worktree, Worktrees(root), Sources(root, Review(root)), Review(root)))
    assert [line.text for line in changed[0].hunk.lines if line.kind != "context"] == ["three", "THREE"]
    desk.undo()
    assert (root / "a b.txt").read_text() == "mine\n" + TEXT
    assert len(everything(desk)) == 2
    desk.drop(everything(desk)[:1])
    assert [part.hunk.decision for part in everything(desk)] == ["rejected", "pending"]


def test_what_does_not_fit_changes_nothing(root: Path) -> None:
    worktree, desk = beside(root)
    (worktree.root / "a b.txt").write_text(TEXT.replace("line 3\n", "three\n"))
    (root / "a b.txt").write_text("all of it is something else\n")
    parts = everything(desk)
    with pytest.raises(ReviewError, match="does not fit"):
        desk.take(parts)
    assert desk.misfits() and [part.hunk.id for part in everything(desk)] == [part.hunk.id for part in parts]
    assert (root / "a b.txt").read_text() == "all of it is something else\n"


NAMES = st.sampled_from(["a b.txt", "dos.txt", "gone", "binary", "é", "x"])
CONTENT = st.sampled_from([b"one\r\ntwo\r\n", b"\0two", b"", b"no newline", TEXT.encode(), "é\n".encode()])


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, st.none() | CONTENT))
def test_all_that_an_agent_did_can_be_brought_over(root: Path, changes: dict[str, bytes | None]) -> None:
    git(root, "checkout", "--quiet", "--force", "main")
    git(root, "clean", "-fdq")
    worktree, desk = beside(root)
    for name, content in changes.items():
        if content is None:
            (worktree.root / name).unlink(missing_ok=True)
        else:
            (worktree.root / name).write_bytes(content)
    parts = everything(desk)
    if parts:
        desk.take(parts)
    assert files(root) == files(worktree.root) and desk.changes() == ()
    Worktrees(root).remove(worktree)


def test_a_removed_worktree_leaves_only_commits(root: Path) -> None:
    worktrees = Worktrees(root)
    first, second = worktrees.create("One two three four five"), worktrees.create("one two three four")
    assert [one.name for one in worktrees.listed()] == ["one-two-three-four", "one-two-three-four-2"]
    (first.root / "built").mkdir()
    (second.root / "x").write_text("x")
    git(second.root, "add", "x")
    git(second.root, "commit", "-qm", "two")
    assert worktrees.remove(first) == "" and not first.top.exists()
    assert second.branch in worktrees.remove(second)
    assert worktrees.listed() == ()
    branches = git(root, "for-each-ref", "--format=%(refname)").decode().split()
    assert branches == ["refs/heads/main", f"refs/heads/{second.branch}"]
    assert worktrees.create("one two three four").name == "one-two-three-four"


def test_where_there_can_be_none(tmp_path: Path) -> None:
    with pytest.raises(WorktreeError, match="no git repository"):
        Worktrees(tmp_path).create("x")
    git(tmp_path, "init", "-q")
    with pytest.raises(WorktreeError, match="there is none"):
        Worktrees(tmp_path).create("x")
    assert Worktrees(tmp_path).listed() == ()


@pytest.mark.parametrize(
    ("task", "name"), [("Größe: ändern!", "groe-andern"), ("日本語", "agent"), ("-- -x", "x")]
)
def test_names_are_made_of_the_task(task: str, name: str) -> None:
    assert name_of(task) == name
