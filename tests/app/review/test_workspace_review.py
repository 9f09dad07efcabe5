"""Review of a real directory: turns with shell commands, restarts, commits, and what git makes of them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.git.git import Git, GitResult
from app.paths import data_directory
from app.review.disk import WorkTree
from app.review.errors import ReviewError
from app.review.log.entries import CommitEnded, Entry
from app.review.log.store import FileStore
from app.review.model import FileImage
from app.review.review import Review
from tests.support.review.review_cases import git, keep_all, reject_all
from tests.support.review.review_memory import Killed

TEXT = "".join(f"line {n}\n" for n in range(1, 41))
EDITED = TEXT.replace("line 3\n", "three\n").replace("line 30\n", "thirty\nand more\n")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "gitconfig").write_text("[user]\nname = A\nemail = a@localhost\n")
    place = tmp_path / "work"
    place.mkdir()
    return place


@pytest.fixture
def repository(root: Path) -> Path:
    git(root, "init", "--quiet", "-b", "main")
    (root / "a.txt").write_text(TEXT)
    (root / "gone.txt").write_text("gone\n")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "one")
    return root


def turn(review: Review, work: Callable[[], object], number: int = 1) -> None:
    """A turn in which a command does `work`."""
    review.begin_turn(number)
    review.command_started()
    work()
    review.command_finished()
    review.end_turn(number)


def edit(review: Review, root: Path, path: str, text: str) -> None:
    """As the agent's tools do it."""
    place = root / path
    before = FileImage(place.read_bytes()) if place.exists() else None
    review.record(path, before, FileImage(text.encode()))
    place.write_text(text)


def ids(review: Review, path: str) -> list[str]:
    return [hunk.id for change in review.changes() if change.path == path for hunk in change.hunks]


def test_what_commands_change_is_found_and_taken_back(repository: Path) -> None:
    (repository / "a.txt").write_text("mine\n" + TEXT)
    (repository / "untracked").write_text("u\n")
    (repository / ".gitignore").write_text("*.log\n")

    def commands() -> None:
        (repository / "a.txt").write_text("mine\n" + EDITED)
        (repository / "gone.txt").unlink()
        (repository / "untracked").chmod(0o755)
        (repository / "new" / "deep").mkdir(parents=True)
        (repository / "new" / "deep" / "link").symlink_to("../x")
        (repository / "ignored.log").write_text("x")

    review = Review(repository)
    turn(review, commands)
    assert {(change.path, change.kind) for change in review.changes()} == {
        ("a.txt", "modified"),
        ("gone.txt", "deleted"),
        ("new/deep/link", "symlink"),
        ("untracked", "mode"),
    }
    reject_all(review)
    assert (repository / "a.txt").read_text() == "mine\n" + TEXT
    assert (repository / "gone.txt").read_text() == "gone\n"
    assert (repository / "untracked").stat().st_mode & 0o777 == 0o644
    assert not (repository / "new").exists()
    review.undo()
    assert (repository / "new" / "deep" / "link").readlink() == Path("../x")
    assert (repository / "untracked").stat().st_mode & 0o111


def test_a_commit_by_a_command_stays_under_review(repository: Path) -> None:
    def commands() -> None:
        (repository / "a.txt").write_text(EDITED)
        git(repository, "commit", "-qam", "by the agent")

    review = Review(repository)
    turn(review, commands)
    review.reject(frozenset(ids(review, "a.txt")))
    assert (repository / "a.txt").read_text() == TEXT


def test_a_commit_by_the_user_settles(repository: Path) -> None:
    review = Review(repository)
    turn(review, lambda: edit(review, repository, "a.txt", EDITED))
    assert review.changes()
    git(repository, "commit", "-qam", "by hand")
    assert review.changes() == ()


def test_files_without_a_repository(root: Path) -> None:
    (root / "a.txt").write_text(TEXT)
    review = Review(root)
    turn(review, lambda: (root / "a.txt").write_text(EDITED))
    first, second = ids(review, "a.txt")
    review.keep(frozenset({first}))
    review.reject(frozenset({second}))
    assert (root / "a.txt").read_text() == TEXT.replace("line 3\n", "three\n")
    with pytest.raises(ReviewError, match="no git repository"):
        review.commit("x")


def test_a_restart_remembers_and_a_torn_log_is_mended(repository: Path, tmp_path: Path) -> None:
    review = Review(repository)
    turn(review, lambda: edit(review, repository, "a.txt", EDITED))
    review.keep(frozenset(ids(review, "a.txt")[:1]))
    shown = review.changes()
    (log,) = (tmp_path / "home").rglob("log.jsonl")
    with log.open("ab") as file:
        file.write(b'{"kind":"Decided","decis')
    again = Review(repository)
    assert again.changes() == shown
    again.reject(frozenset(ids(again, "a.txt")[1:]))
    assert review.undo() == "Undone: rejected 1 hunk"
    assert again.changes() == shown


def test_a_turn_in_another_window_is_waited_for(repository: Path) -> None:
    first, second = Review(repository), Review(repository)
    first.begin_turn(1)
    for refused in (lambda: second.begin_turn(1), lambda: reject_all(second)):
        with pytest.raises(ReviewError, match="Another window's turn is running in this directory: wait"):
            refused()
    first.end_turn(1)
    turn(second, lambda: edit(second, repository, "a.txt", EDITED))


def test_a_process_that_dies_in_a_turn_leaves_it_to_be_closed(repository: Path) -> None:
    script = (
        "import os, pathlib, sys; from app.review.review import Review\n"
        "root = pathlib.Path(sys.argv[1]); review = Review(root); review.begin_turn(1)\n"
        "review.command_started()\n"
        "(root / 'a.txt').write_text('by a command\\n'); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(repository)], check=False)
    review = Review(repository)
    reject_all(review)
    assert (repository / "a.txt").read_text() == TEXT


def test_a_commit_holds_what_is_kept_and_nothing_else(repository: Path) -> None:
    (repository / "staged.txt").write_text("staged\n")
    git(repository, "add", "staged.txt")
    review = Review(repository)

    def work() -> None:
        edit(review, repository, "a.txt", EDITED)
        edit(review, repository, "new file", "new\r\nfile")
        (repository / "gone.txt").unlink()

    turn(review, work)
    first, second = ids(review, "a.txt")
    (repository / "a.txt").write_text((repository / "a.txt").read_text() + "my own\n")
    review.keep(frozenset({first, *ids(review, "new file")}))
    assert "Keep three" in review.commit("Keep three\n\nand a file")
    assert git(repository, "show", "HEAD:a.txt").decode() == TEXT.replace("line 3\n", "three\n")
    assert git(repository, "show", "HEAD:new file") == b"new\r\nfile"
    assert git(repository, "diff", "--name-only", "HEAD^", "HEAD").split(b"\n")[:-1] == [b"a.txt", b"new file"]
    status = git(repository, "status", "--porcelain").decode().splitlines()
    assert sorted(status) == [" D gone.txt", " M a.txt", "A  staged.txt"]
    assert ids(review, "a.txt") == [second]
    assert review.undo() == ""
    review.reject(frozenset({second}))
    assert (repository / "a.txt").read_text() == TEXT.replace("line 3\n", "three\n") + "my own\n"


def test_a_commit_takes_over_to_a_file_with_the_users_own_changes(repository: Path) -> None:
    (repository / "a.txt").write_text(TEXT.replace("line 20\n", "twenty\n"))
    git(repository, "add", "a.txt")
    (repository / "a.txt").write_text(TEXT.replace("line 20\n", "twenty\n").replace("line 40\n", "forty\n"))
    review = Review(repository)
    turn(
        review,
        lambda: edit(
            review, repository, "a.txt", (repository / "a.txt").read_text().replace("line 3\n", "3\n")
        ),
    )
    keep_all(review)
    review.commit("three")
    assert git(repository, "show", "HEAD:a.txt").decode() == TEXT.replace("line 3\n", "3\n")
    staged = TEXT.replace("line 3\n", "3\n").replace("line 20\n", "twenty\n")
    assert git(repository, "show", ":a.txt").decode() == staged
    turn(review, lambda: edit(review, repository, "a.txt", staged.replace("twenty\n", "20\n")), 2)
    keep_all(review)
    with pytest.raises(ReviewError, match="changes of your own"):
        review.commit("on top of mine")


@pytest.mark.parametrize("setting", ["true", "input", "false"])
def test_line_endings_are_no_obstacle_to_a_commit(repository: Path, setting: str) -> None:
    windows = TEXT.replace("\n", "\r\n")
    (repository / "a.txt").write_bytes(windows.encode())
    if setting == "false":
        git(repository, "commit", "-qam", "carriage returns")
    git(repository, "config", "core.autocrlf", setting)
    review = Review(repository)

    def work() -> None:
        after = windows.replace("line 3\r\n", "three\r\n").encode()
        review.record("a.txt", FileImage(windows.encode()), FileImage(after))
        (repository / "a.txt").write_bytes(after)

    turn(review, work)
    keep_all(review)
    review.commit("three")
    assert git(repository, "diff", "HEAD") == b""
    assert git(repository, "diff", "--stat", "HEAD^", "HEAD").endswith(b"1 insertion(+), 1 deletion(-)\n")


def test_what_a_checkout_filters_is_taken_back_as_it_was(repository: Path) -> None:
    (repository / ".gitattributes").write_text(
        "*.crlf eol=crlf\n*.wide working-tree-encoding=UTF-16LE\n*.id ident\n"
    )
    before = {"a.crlf": b"1\r\n2\r\n", "b.wide": "1\n".encode("utf-16-le"), "c.id": b"$Id$\n", "d": b"d\n"}
    for name, data in before.items():
        (repository / name).write_bytes(data)
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "-m", "filtered")
    for name in before:
        (repository / name).unlink()
    git(repository, "checkout", "--quiet", ".")
    before = {name: (repository / name).read_bytes() for name in before}
    review = Review(repository)
    turn(review, lambda: [(repository / name).write_bytes(data + b"\1\n") for name, data in before.items()])
    assert [change.path for change in review.changes()] == list(before)
    reject_all(review)
    assert {name: (repository / name).read_bytes() for name in before} == before


def test_a_large_file_that_a_command_changes_is_taken_back(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = b"\0" + b"x" * (9 * 1024 * 1024)
    (repository / "data").write_bytes(before)
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "-m", "data")
    review = Review(repository)
    turn(review, lambda: (repository / "data").write_bytes(before[::-1]))
    assert shown_of(review) == {"data": ("binary", None, ["pending"])}
    reject_all(review)
    assert (repository / "data").read_bytes() == before
    # What is beyond the limits is not even read.
    read = WorkTree.read
    monkeypatch.setattr("app.review.snapshot.MOST_BYTES", len(before))
    monkeypatch.setattr(
        WorkTree, "read", lambda disk, path: read(disk, path) if path != "new" else pytest.fail()
    )
    turn(review, lambda: (repository / "new").write_bytes(before + b"more"), 2)
    assert shown_of(review) == {}


def test_an_edit_of_ones_own_on_a_kept_hunk_is_committed_with_it(repository: Path) -> None:
    review = Review(repository)
    turn(review, lambda: edit(review, repository, "a.txt", EDITED))
    mine = EDITED.replace("three\n", "3, as I say\n").replace("line 20\n", "twenty\n")
    (repository / "a.txt").write_text(mine)
    (hunk, _) = review.changes()[0].hunks
    assert [line.text for line in hunk.lines if line.kind != "context"] == ["line 3", "3, as I say"]
    review.keep(frozenset({hunk.id}))
    review.commit("three")
    assert git(repository, "show", "HEAD:a.txt").decode() == TEXT.replace("line 3\n", "3, as I say\n")
    assert (repository / "a.txt").read_text() == mine


def test_hooks_speak_and_refuse(repository: Path) -> None:
    hook = repository / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ngit diff --cached --name-only\necho no tabs please >&2\nexit 1\n")
    hook.chmod(0o755)
    review = Review(repository)
    turn(review, lambda: edit(review, repository, "a.txt", EDITED))
    keep_all(review)
    before = review.changes()
    with pytest.raises(ReviewError, match="no tabs please"):
        review.commit("x")
    assert review.changes() == before
    hook.write_text("#!/bin/sh\nprintf '\\033[1;32mche\\033[mcked\\n' >&2\n")
    assert "checked" in review.commit("x")


def test_the_first_commit_and_a_subdirectory(root: Path) -> None:
    git(root, "init", "--quiet")
    inner = root / "inner"
    inner.mkdir()
    review = Review(inner)
    turn(review, lambda: edit(review, inner, "ä b.txt", "x\n"))
    keep_all(review)
    review.commit("first")
    assert git(root, "ls-tree", "-r", "-z", "--name-only", "HEAD").decode() == "inner/ä b.txt\0"
    assert git(root, "status", "--porcelain") == b""


def test_worktrees_and_submodules(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "side")
    git(
        repository,
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        str(tmp_path / "tree"),
        "sub",
    )
    git(repository, "commit", "-qm", "submodule")
    for place in (tmp_path / "tree", repository / "sub"):
        review = Review(place)
        turn(review, lambda place=place, review=review: edit(review, place, "a.txt", EDITED))  # type: ignore[misc]
        keep_all(review)
        review.commit("inside")
        assert git(place, "status", "--porcelain") == b""
    outer = Review(repository)
    turn(outer, lambda: edit(outer, repository, "sub/a.txt", TEXT))
    keep_all(outer)
    with pytest.raises(ReviewError, match="another repository, sub"):
        outer.commit("across")


def test_what_cannot_be_committed_says_so(repository: Path, tmp_path: Path) -> None:
    review = Review(repository)
    turn(review, lambda: edit(review, repository, "a.txt", EDITED))
    with pytest.raises(ReviewError, match="keep some hunks"):
        review.commit("x")
    keep_all(review)
    with pytest.raises(ReviewError, match="message"):
        review.commit(" \n")
    (repository / ".git" / "MERGE_HEAD").write_text(git(repository, "rev-parse", "HEAD").decode())
    with pytest.raises(ReviewError, match="merge is under way"):
        review.commit("x")
    (repository / ".git" / "MERGE_HEAD").unlink()
    (tmp_path / "gitconfig").write_text("[user]\nuseConfigOnly = true\n")
    with pytest.raises(ReviewError, match=r"user\.name"):
        review.commit("x")
    assert git(repository, "rev-list", "--count", "HEAD") == b"1\n"


def test_a_directory_in_the_place_of_a_file_is_the_users_doing(repository: Path) -> None:
    review = Review(repository)
    turn(review, lambda: edit(review, repository, "new", "x\n"))
    (repository / "new").unlink()
    (repository / "new").mkdir()
    (repository / "new" / "mine").write_text("mine")
    review.changes()
    reject_all(review)
    assert (repository / "new" / "mine").read_text() == "mine"


@pytest.mark.parametrize("made", [True, False])
def test_dying_around_a_commit_loses_nothing(
    repository: Path, made: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = Review(repository)
    turn(review, lambda: edit(review, repository, "a.txt", EDITED))
    review.keep(frozenset(ids(review, "a.txt")[:1]))
    shown = review.changes()
    append, run = FileStore.append, Git.ask_with_hooks

    def dying_append(self: FileStore, entry: Entry) -> None:
        if isinstance(entry, CommitEnded):
            raise Killed
        append(self, entry)

    def dying_git(self: Git, *arguments: str, **options: Any) -> GitResult:
        if arguments[0] == "commit":
            raise Killed
        return run(self, *arguments, **options)

    with monkeypatch.context() as patch:
        if made:
            patch.setattr(FileStore, "append", dying_append)
        else:
            patch.setattr(Git, "ask_with_hooks", dying_git)
        with pytest.raises(Killed):
            review.commit("three")
    again = Review(repository)
    assert git(repository, "diff", "--cached") == b""
    if made:
        assert [hunk.decision for hunk in again.changes()[0].hunks] == ["pending"]
        assert git(repository, "rev-list", "--count", "HEAD") == b"2\n"
    else:
        assert again.changes() == shown


def test_rewinding_reaches_what_was_committed_and_spares_what_was_done_since(repository: Path) -> None:
    review = Review(repository)
    turn(review, lambda: edit(review, repository, "a.txt", EDITED))
    turn(review, lambda: edit(review, repository, "new.txt", "new\n"), 2)
    keep_all(review)
    review.commit("all of it")
    assert review.changes() == ()
    (repository / "a.txt").write_text(EDITED.replace("line 15\n", "my own\n"))
    assert review.rewind(2) == ""
    assert not (repository / "new.txt").exists()
    assert review.rewind(1) == ""
    assert (repository / "a.txt").read_text() == TEXT.replace("line 15\n", "my own\n")
    assert review.undo() == "Undone: went back to before turn 1"
    assert review.undo() == "Undone: went back to before turn 2"
    assert (repository / "a.txt").read_text() == EDITED.replace("line 15\n", "my own\n")
    assert git(repository, "status", "--porcelain") == b" M a.txt\n"
    (repository / "a.txt").write_text(EDITED.replace("three\n", "3, as I say\n"))
    assert review.rewind(1) == "Left as they are, for you edited them since: a.txt"
    assert (repository / "a.txt").read_text() == EDITED.replace("three\n", "3, as I say\n")


def test_rewinding_a_file_of_which_only_a_part_was_committed(repository: Path) -> None:
    review = Review(repository)
    turn(review, lambda: edit(review, repository, "a.txt", EDITED))
    review.keep(frozenset(ids(review, "a.txt")[:1]))
    review.commit("a part")
    assert review.rewind(1) == ""
    assert (repository / "a.txt").read_text() == TEXT
    review.undo()
    assert (repository / "a.txt").read_text() == EDITED
    assert [hunk.decision for hunk in review.changes()[0].hunks] == ["pending"]


def test_what_the_user_does_while_a_turn_runs_is_the_users(repository: Path) -> None:
    (repository / "other.txt").write_text("o\n")
    review = Review(repository)
    review.begin_turn(1)
    edit(review, repository, "a.txt", EDITED)
    mine = EDITED.replace("line 15\n", "my own\n")
    (repository / "a.txt").write_text(mine)
    (repository / "other.txt").write_text("mine\n")
    (repository / "new.txt").write_text("mine\n")
    review.command_started()
    (repository / "a.txt").write_text(mine.replace("line 20\n", "by a command\n"))
    (repository / "new.txt").write_text("mine\nby a command\n")
    assert review.command_finished() == ("a.txt", "new.txt")
    (repository / "gone.txt").write_text("mine too\n")
    (repository / "a.txt").write_text((repository / "a.txt").read_text() + "the end\n")
    review.end_turn(1)
    shown = {change.path: [(hunk.added, hunk.removed) for hunk in change.hunks] for change in review.changes()}
    assert {path: len(hunks) for path, hunks in shown.items()} == {"a.txt": 3, "new.txt": 1}
    assert reject_all(review) == ""
    assert (repository / "a.txt").read_text() == TEXT.replace("line 15\n", "my own\n") + "the end\n"
    assert (repository / "new.txt").read_text() == "mine\n"
    assert (repository / "other.txt").read_text() == "mine\n"
    assert (repository / "gone.txt").read_text() == "mine too\n"


def test_what_a_job_in_the_background_changes_is_the_agents(repository: Path) -> None:
    review = Review(repository)
    review.begin_turn(1)
    review.command_started()
    assert review.command_finished(still_runs=True) == ()
    review.command_started()
    (repository / "a.txt").write_text(EDITED)
    review.end_turn(1)
    assert len(ids(review, "a.txt")) == 2


def test_a_snapshot_reads_again_only_what_may_have_changed(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "new.txt").write_text("old\n")
    old = time.time() - 100
    os.utime(repository / "new.txt", (old, old))
    monkeypatch.setattr("app.review.snapshot._CLOCK_SLACK_NS", 0)
    review = Review(repository)
    for text in ("old\n", "one\n", "two\n"):
        review.begin_turn(1)
        review.command_started()
        assert review.command_finished() == ()
        review.command_started()
        (repository / "new.txt").write_text(text)
        assert review.command_finished() == (("new.txt",) if text != "old\n" else ())
        review.end_turn(1)
    reject_all(review)
    assert (repository / "new.txt").read_text() == "old\n"


def shown_of(review: Review) -> dict[str, tuple[str, str | None, list[str]]]:
    return {
        change.path: (change.kind, change.previous_path, [hunk.decision for hunk in change.hunks])
        for change in review.changes()
    }


def test_a_rename_is_one_change_and_what_was_edited_in_it_others(repository: Path) -> None:
    def move() -> None:
        (repository / "sub").mkdir()
        (repository / "a.txt").rename(repository / "sub" / "b.txt")
        (repository / "sub" / "b.txt").write_text(EDITED)
        (repository / "sub" / "b.txt").chmod(0o755)

    review = Review(repository)
    turn(review, move)
    assert shown_of(review) == {"sub/b.txt": ("renamed", "a.txt", ["pending"] * 3)}
    assert shown_of(Review(repository)) == shown_of(review)
    header, first, second = ids(review, "sub/b.txt")
    review.reject(frozenset({second}))
    assert (repository / "sub" / "b.txt").read_text() == TEXT.replace("line 3\n", "three\n")
    review.reject(frozenset({header}))
    assert (repository / "a.txt").read_text() == TEXT
    assert not (repository / "a.txt").stat().st_mode & 0o100
    assert not (repository / "sub").exists()
    assert "sub/b.txt\n(renamed from a.txt)" in review.feedback()
    review.undo()
    assert not (repository / "a.txt").exists()
    review.keep(frozenset({first}))
    # What was edited rests on the rename; the file's mode is another thing.
    assert shown_of(review) == {"sub/b.txt": ("renamed", "a.txt", ["kept", "pending", "kept"])}
    keep_all(review)
    review.commit("move it")
    told = git(repository, "show", "--format=", "--name-status", "-M", "HEAD").decode().split()
    assert told[1:] == ["a.txt", "sub/b.txt"]
    assert told[0].startswith("R")
    assert git(repository, "status", "--porcelain") == b""


def test_halves_of_a_rename_are_never_decided_apart(repository: Path) -> None:
    review = Review(repository)
    turn(review, lambda: git(repository, "mv", "a.txt", "b.txt"))
    (header,) = ids(review, "b.txt")
    (repository / "b.txt").write_text("mine\n" + TEXT)
    with pytest.raises(ReviewError, match="You edited"):
        review.reject(frozenset({header}))
    assert not (repository / "a.txt").exists()
    (repository / "b.txt").write_text(TEXT)
    for half in header.split("+"):
        review.reject(frozenset({half}))
        assert (repository / "a.txt").read_text() == TEXT
        assert not (repository / "b.txt").exists()
        review.undo()
        review.keep(frozenset({half}))
        assert shown_of(review) == {"b.txt": ("renamed", "a.txt", ["kept"])}
        review.undo()
    # A file that comes to stand at the old place makes a copy of the rename.
    turn(review, lambda: edit(review, repository, "a.txt", "new\n"), 2)
    assert {path: shown[0] for path, shown in shown_of(review).items()} == {
        "a.txt": "modified",
        "b.txt": "copied",
    }
    reject_all(review)
    assert (repository / "a.txt").read_text() == TEXT
    assert not (repository / "b.txt").exists()


@pytest.mark.parametrize("first", ["writes", "removes"])
def test_a_rename_by_two_tools_is_one_change(repository: Path, first: str) -> None:
    def command(*arguments: str) -> None:
        review.command_started()
        subprocess.run(arguments, cwd=repository, check=True)
        assert review.command_finished()

    def write() -> None:
        edit(review, repository, "b.txt", EDITED)

    review = Review(repository)
    review.begin_turn(1)
    edit(review, repository, "a.txt", TEXT.replace("line 9\n", ""))
    for step in (write, lambda: command("rm", "a.txt"))[:: 1 if first == "writes" else -1]:
        step()
    command("mv", "b.txt", "c.txt")
    edit(review, repository, "c.txt", EDITED + "end\n")
    review.end_turn(1)
    assert shown_of(review) == {"c.txt": ("renamed", "a.txt", ["pending"] * 4)}
    assert shown_of(Review(repository)) == shown_of(review)
    header, *_, last = ids(review, "c.txt")
    review.reject(frozenset({last}))
    assert (repository / "c.txt").read_text() == EDITED
    review.reject(frozenset({header}))
    assert not (repository / "c.txt").exists()
    assert (repository / "a.txt").read_text() == TEXT


def test_a_file_that_was_renamed_and_then_removed_is_a_removed_file(repository: Path) -> None:
    review = Review(repository)
    turn(review, lambda: git(repository, "mv", "a.txt", "b.txt"))
    turn(review, (repository / "b.txt").unlink, 2)
    assert {path: shown[0] for path, shown in shown_of(review).items()} == {"a.txt": "deleted"}
    reject_all(review)
    assert (repository / "a.txt").read_text() == TEXT


def test_what_is_edited_from_here_is_the_users_even_while_a_command_runs(repository: Path) -> None:
    (repository / ".gitignore").write_text("*.log\n")
    (repository / "x.log").write_text("old\n")
    review = Review(repository)
    review.begin_turn(1)
    review.command_started()
    (repository / "a.txt").write_text(EDITED)
    for path, text in (
        ("a.txt", EDITED.replace("line 15\n", "my own\n")),
        ("gone.txt", "mine\n"),
        ("x.log", ""),
    ):
        with review.users_own(path):
            (repository / path).write_text(text)
    (repository / "gone.txt").write_text("mine\nby the command\n")
    review.command_finished()
    review.end_turn(1)
    assert {path: len(shown[2]) for path, shown in shown_of(review).items()} == {"a.txt": 2, "gone.txt": 1}
    assert reject_all(review) == ""
    assert (repository / "a.txt").read_text() == TEXT.replace("line 15\n", "my own\n")
    assert (repository / "gone.txt").read_text() == "mine\n"
    assert (repository / "x.log").read_text() == ""


def test_renames_are_found_where_git_finds_them(repository: Path) -> None:
    texts = {
        "same": TEXT,
        "half": TEXT,
        "less": TEXT,
        "link": "",
        "long": "x" * 500,
    }
    for name, text in texts.items():
        (repository / name).write_text(text + name if text else text)
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "two")
    half = TEXT.splitlines(keepends=True)

    def move() -> None:
        for name in texts:
            (repository / name).unlink()
        (repository / "d").mkdir()
        (repository / "d" / "same").write_text(TEXT + "same")
        (repository / "d" / "half").write_text("".join(half[:24] + ["other text\n"] * 12))
        (repository / "d" / "less").write_text("".join(half[30:] + ["quite another text\n"] * 30))
        (repository / "d" / "long").write_text("x" * 500 + "long" + "y" * 100)

    review = Review(repository)
    turn(review, move)
    git(repository, "add", "-A")
    told = git(repository, "diff", "--cached", "--name-status", "-M").decode().splitlines()
    git(repository, "reset", "-q")
    expected = {tuple(line.split("\t")[1:]) for line in told if line.startswith("R")}
    found = {(change.previous_path, change.path) for change in review.changes() if change.kind == "renamed"}
    assert found == expected
    assert len(found) >= 2
    before = {name: (text + name if text else text) for name, text in texts.items()}
    reject_all(review)
    assert {name: (repository / name).read_text() for name in texts} == before


def test_the_disk_that_a_review_takes_does_not_grow_with_what_is_closed(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.review.log.ledger.LONG", 20)
    monkeypatch.setattr("app.review.log.compaction.MOST_TURNS", 3)
    monkeypatch.setattr("app.review.log.compaction.MOST_DECISIONS", 3)
    sizes: list[int] = []
    other = Review(repository)
    for number in range(1, 17):
        review = Review(repository)
        turn(review, lambda n=number, r=review: edit(r, repository, f"{n}.txt", TEXT * 3 + f"{n}\n"), number)  # type: ignore[misc]
        keep_all(review)
        review.put_away()
        if number > 1:
            (repository / f"{number - 1}.txt").unlink()
        if number % 5 == 0:
            sizes.append(sum(path.stat().st_size for path in (tmp_path / "home").rglob("*") if path.is_file()))
            # Another window has read the log that is gone.
            assert other.changes() == ()
    assert max(sizes) < 2 * min(sizes)
    review.undo()
    assert other.changes()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there are no files of the kernel's here")
def test_files_of_the_kernel_are_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of them wait for what is to come: `tidegate run -C /proc` came to no end."""
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was opened"))
    assert WorkTree(Path("/proc/self")).read("status") == FileImage(b"")


def test_an_ignored_file_that_a_command_names_comes_back_with_its_turn(repository: Path) -> None:
    (repository / ".gitignore").write_text(".env\nbuild/\n")
    (repository / ".env").write_text("secret\n")
    (repository / "build").mkdir()
    (repository / "build" / "out").write_text("old\n")
    review = Review(repository)
    review.begin_turn(1)
    review.command_started([".env", "build", "no such file"])
    (repository / ".env").unlink()
    (repository / "build" / "out").write_text("new\n")
    assert review.command_finished() == (".env", "build/out")
    review.end_turn(1)
    assert review.rewind(1) == ""
    assert (repository / ".env").read_text() == "secret\n"
    assert (repository / "build" / "out").read_text() == "old\n"


def test_going_back_names_what_it_cannot_know(repository: Path) -> None:
    nested = repository / "inner"
    nested.mkdir()
    git(nested, "init", "--quiet")
    (nested / "x").write_text("x\n")
    review = Review(repository)
    turn(review, lambda: (repository / "a.txt").write_text(EDITED))
    assert "nested repositories inner" in review.rewind(1)
    assert (repository / "a.txt").read_text() == TEXT


@pytest.mark.parametrize("damage", [b"", b"line 1\n", None])
def test_a_damaged_content_is_found_and_named(repository: Path, damage: bytes | None) -> None:
    review = Review(repository)
    turn(review, lambda: edit(review, repository, "a.txt", EDITED))
    store = FileStore.of_workspace(repository)
    for path in data_directory().glob("reviews/*/contents/*/*"):
        data = path.read_bytes()
        path.write_bytes(damage if damage is not None else bytes([data[0] ^ 1]) + data[1:])
        with pytest.raises(ReviewError, match=path.name):
            store.get(path.parent.name + path.name)
    assert store.put(TEXT.encode()) and (damage is None or store.get(store.put(TEXT.encode())) == TEXT.encode())


@pytest.mark.parametrize("setting", ["commit.cleanup=strip", "commit.cleanup=scissors", "core.commentChar=f"])
def test_a_message_keeps_every_line_whatever_git_would_take_for_a_comment(
    repository: Path, setting: str
) -> None:
    git(repository, "config", *setting.split("="))
    review = Review(repository)
    turn(review, lambda: edit(review, repository, "a.txt", EDITED))
    review.keep(review.hunk_ids())
    message = "#123 mend it\n\n# why\nfor a reason"
    assert "#123 mend it" in review.commit(message)
    assert git(repository, "log", "-1", "--format=%B").decode().strip() == message
