"""Reviewing what git can show, and staging, unstaging, discarding and applying parts of it."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.review.desks.desk import HunkPart
from app.review.desks.source_desk import SourceDesk
from app.review.desks.sources import Source, Sources, source_of
from app.review.diff.patch import whole
from app.review.errors import ReviewError
from app.review.model import FileChange, Hunk
from app.review.review import Review
from tests.support.review.review_cases import edits, get_index, git, put_index
from tests.support.review.review_memory import Fuse, MemoryStore

WORKTREE, STAGED = Source("worktree", ""), Source("staged", "")
TEXT = "".join(f"line {n}\n" for n in range(1, 41))
EDITED = TEXT.replace("line 3\n", "three\n").replace("line 30\n", "thirty\nand more\n")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "--quiet", "-b", "main")
    (root / "a b.txt").write_text(TEXT)
    (root / "gone").write_text("gone\n")
    (root / "binary").write_bytes(b"\0one")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "one")
    return root


def sources(root: Path) -> Sources:
    return Sources(root, Review(root))


def by_path(changes: tuple[FileChange, ...]) -> dict[str, FileChange]:
    return {change.path: change for change in changes}


def added_line(hunk: Hunk, text: str) -> frozenset[int]:
    return frozenset(n for n, line in enumerate(hunk.lines) if line.kind == "added" and line.text == text)


def test_parts_of_the_work_tree_are_staged_unstaged_and_discarded(repository: Path) -> None:
    (repository / "a b.txt").write_text(EDITED)
    reader = sources(repository)
    change = by_path(reader.changes(WORKTREE))["a b.txt"]
    first, second = change.hunks
    reader.stage(change, {second.id: added_line(second, "and more")})
    staged = TEXT.replace("line 30\n", "and more\nline 30\n")
    assert git(repository, "show", ":a b.txt").decode() == staged
    reader.unstage(reader.changes(STAGED)[0], whole(reader.changes(STAGED)[0]))
    assert git(repository, "show", ":a b.txt").decode() == TEXT
    reader.discard([(change, {first.id: None})])
    assert (repository / "a b.txt").read_text() == EDITED.replace("three\n", "line 3\n")
    review = Review(repository)
    assert "Undone" in review.undo()
    assert (repository / "a b.txt").read_text() == EDITED
    review.redo()
    assert (repository / "a b.txt").read_text() == EDITED.replace("three\n", "line 3\n")


def test_whole_files_of_every_kind_go_both_ways(repository: Path) -> None:
    (repository / "gone").unlink()
    (repository / "binary").write_bytes(b"\0two")
    (repository / "new").write_text("new")
    (repository / "new").chmod(0o755)
    (repository / "link").symlink_to("new")
    (repository / "empty").touch()
    reader = sources(repository)
    changes = reader.changes(WORKTREE)
    assert set(by_path(changes)) == {"gone", "binary", "new", "link", "empty"}
    for change in changes:
        reader.stage(change, whole(change))
    assert git(repository, "diff") == b""
    assert git(repository, "ls-files", "--others") == b""
    for change in reader.changes(STAGED):
        reader.unstage(change, whole(change))
    assert git(repository, "diff", "--cached") == b""
    for change in reader.changes(WORKTREE):
        reader.discard([(change, whole(change))])
    assert git(repository, "status", "--porcelain") == b""


def test_line_endings_are_the_repositorys_in_the_index_and_the_users_on_disk(repository: Path) -> None:
    git(repository, "config", "core.autocrlf", "true")
    (repository / "a b.txt").write_bytes(EDITED.replace("\n", "\r\n").encode())
    reader = sources(repository)
    (change,) = reader.changes(WORKTREE)
    first, second = change.hunks
    reader.stage(change, {first.id: None})
    assert git(repository, "show", ":a b.txt").decode() == TEXT.replace("line 3\n", "three\n")
    (rest,) = reader.changes(WORKTREE)
    reader.discard([(rest, {second.id: None, **whole(rest)})])
    assert (repository / "a b.txt").read_bytes() == TEXT.replace("line 3\n", "three\n").replace(
        "\n", "\r\n"
    ).encode()


def test_a_patch_file_is_applied_in_part_or_not_at_all(repository: Path) -> None:
    (repository / "a b.txt").write_text(EDITED)
    (repository / "fix.patch").write_bytes(git(repository, "diff"))
    (repository / "a b.txt").write_text("moved\n" + TEXT)
    reader = sources(repository)
    (change,) = reader.changes(source_of(repository, "fix.patch"))
    assert "offset" in reader.apply([(change, {change.hunks[1].id: None})])
    assert (repository / "a b.txt").read_text() == "moved\n" + TEXT.replace("line 30\n", "thirty\nand more\n")
    (repository / "a b.txt").write_text("nothing alike\n")
    with pytest.raises(ReviewError, match="does not fit"):
        reader.apply([(change, whole(change))])
    assert (repository / "a b.txt").read_text() == "nothing alike\n"


def test_a_patch_that_reaches_outside_is_refused(repository: Path) -> None:
    reader = sources(repository)
    (change,) = reader.changes(Source("patch", "", patch=b"--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+x\n"))
    with pytest.raises(ReviewError, match="outside"):
        reader.apply([(change, whole(change))])


def test_commits_ranges_and_names_that_are_neither(repository: Path) -> None:
    (repository / "a b.txt").write_text(EDITED)
    git(repository, "commit", "-qam", "two")
    reader = sources(repository)
    for argument in ("HEAD", "HEAD~1..HEAD", "HEAD~1...", "main"):
        (change,) = reader.changes(source_of(repository, argument))
        assert (change.path, change.added, change.removed) == ("a b.txt", 3, 2)
    for argument in ("nonsense", "--output=x", "a..nonsense"):
        with pytest.raises(ReviewError, match="neither"):
            source_of(repository, argument)
    assert by_path(reader.changes(source_of(repository, "HEAD~1")))["gone"].kind == "created"


@given(batch=st.lists(edits(), min_size=3, max_size=5), data=st.data())
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_staging_in_steps_and_back_in_steps(
    tmp_path_factory: pytest.TempPathFactory, batch: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    """Hunk by hunk into the index, in any order, gives the work tree; and out of it again, the commit."""
    root = tmp_path_factory.mktemp("steps")
    git(root, "init", "--quiet")
    before = {f"f{n}": case[0] for n, case in enumerate(batch)}
    put_index(root, before)
    (root / "marks").unlink()
    git(root, "commit", "--quiet", "-m", "before")
    for n, (_, after) in enumerate(batch):
        (root / f"f{n}").write_bytes(after)
    reader = Sources(root, Review(root, MemoryStore(Fuse())))
    while changes := [change for change in reader.changes(WORKTREE) if change.kind != "binary"]:
        change = data.draw(st.sampled_from(changes))
        reader.stage(change, {data.draw(st.sampled_from(change.hunks)).id: None})
    assert get_index(root) == {f"f{n}": after for n, (_, after) in enumerate(batch)}
    while changes := list(reader.changes(STAGED)):
        change = data.draw(st.sampled_from(changes))
        reader.unstage(change, {data.draw(st.sampled_from(change.hunks)).id: None})
    assert get_index(root) == before


@pytest.mark.parametrize("content", [b"text\n", b"\0binary"])
@pytest.mark.parametrize("was_file", [True, False])
def test_a_file_in_the_place_of_a_directory_is_staged_after_what_it_replaces(
    repository: Path, content: bytes, was_file: bool
) -> None:
    old, new = ("place", "place/in") if was_file else ("place/in", "place")
    (repository / old).parent.mkdir(exist_ok=True)
    (repository / old).write_bytes(content)
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "-m", "two")
    (repository / old).unlink()
    if not was_file:
        (repository / "place").rmdir()
    (repository / new).parent.mkdir(exist_ok=True)
    (repository / new).write_bytes(content + content)
    review = Review(repository)
    desk = SourceDesk(WORKTREE, Sources(repository, review), review)
    changes = desk.changes()
    parts = [HunkPart(change, hunk, None) for change in changes for hunk in change.hunks]
    only_gone = [part for part in parts if part.change.path == old]
    desk.take(only_gone)
    assert git(repository, "diff", "--cached", "--name-status").decode() == f"D\t{old}\n"
    desk.undo()
    desk.take(parts)
    staged = git(repository, "diff", "--cached", "--name-status", "--no-renames").decode()
    assert sorted(staged.splitlines()) == sorted([f"D\t{old}", f"A\t{new}"])
