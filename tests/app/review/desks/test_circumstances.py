"""Staging, unstaging, discarding, keeping and committing wherever git may be in use, with git as the judge."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.git.errors import GitError
from app.review.desks.desk import HunkPart
from app.review.desks.source_desk import SourceDesk
from app.review.desks.sources import STAGED, WORK_TREE, Source, Sources, source_of
from app.review.diff.patch import whole
from app.review.errors import ReviewError
from app.review.model import FileChange, FileImage
from app.review.review import Review
from tests.support.review.review_cases import git, keep_all, reject_all

TEXT = "".join(f"line {n}\n" for n in range(1, 41))
FIRST = TEXT.replace("line 3\n", "three\n")
BOTH = FIRST.replace("line 30\n", "thirty\nand more\n")
FILE = "a.txt"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "gitconfig").write_text("[user]\nname = A\nemail = a@localhost\n")


def plain(place: Path, attributes: str = "", settings: dict[str, str] | None = None, data: bytes = b"") -> Path:
    """A repository with one commit, made under these attributes and settings."""
    place.mkdir()
    git(place, "init", "--quiet", "-b", "main")
    for name, value in (settings or {}).items():
        git(place, "config", name, value)
    if attributes:
        (place / ".gitattributes").write_text(attributes)
    (place / FILE).write_bytes(data or TEXT.encode())
    (place / "outer").mkdir()
    (place / "outer" / "o.txt").write_text("o\n")
    git(place, "add", "-A")
    git(place, "commit", "--quiet", "-m", "one")
    return place


def worktree(tmp: Path) -> Path:
    git(plain(tmp / "main"), "worktree", "add", "-q", str(tmp / "work"), "-b", "side")
    return tmp / "work"


def submodule(tmp: Path) -> Path:
    outer = plain(tmp / "outer")
    inner = str(plain(tmp / "inner"))
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner, "sub")
    return outer / "sub"


def detached(tmp: Path) -> Path:
    git(plain(tmp / "work"), "checkout", "-q", "--detach")
    return tmp / "work"


def sparse(tmp: Path) -> Path:
    git(plain(tmp / "work"), "sparse-checkout", "set", "--cone", "--sparse-index", "nothing")
    assert not (tmp / "work" / "outer").exists()
    return tmp / "work"


def subdirectory(tmp: Path) -> Path:
    place = plain(tmp / "work") / "sub"
    place.mkdir()
    (place / ".gitattributes").write_text(f"{FILE} text eol=crlf\n")
    (place / FILE).write_text(TEXT, newline="\r\n")
    (place / "outer").mkdir()
    (place / "outer" / "o.txt").write_text("o\n")
    git(place, "add", "-A")
    git(place, "commit", "--quiet", "-m", "sub")
    return place


def windows(setting: str) -> Callable[[Path], Path]:
    def make(tmp: Path) -> Path:
        place = plain(tmp / "work", settings={"core.autocrlf": setting})
        (place / FILE).write_bytes(TEXT.replace("\n", "\r\n").encode())
        return place

    return make


def attributes(line: str, **settings: str) -> Callable[[Path], Path]:
    named = {name.replace("__", "."): value for name, value in settings.items()}
    return lambda tmp: plain(tmp / "work", line + "\n", named)


PLACES: dict[str, Callable[[Path], Path]] = {
    "plain": lambda tmp: plain(tmp / "work"),
    "worktree": worktree,
    "submodule": submodule,
    "subdirectory": subdirectory,
    "detached head": detached,
    "sparse checkout": sparse,
    "autocrlf": windows("true"),
    "autocrlf input": windows("input"),
    "eol attribute": attributes(f"{FILE} text eol=crlf"),
    "filter": attributes(
        f"{FILE} filter=loud", filter__loud__clean="tr a-z A-Z", filter__loud__smudge="tr A-Z a-z"
    ),
    "ident": attributes(f"{FILE} ident"),
    "pointers without their program": attributes("*.bin filter=lfs diff=lfs merge=lfs -text"),
    "no file modes": attributes("", core__fileMode="false"),
    "working tree encoding": attributes(f"{FILE} text working-tree-encoding=UTF-8"),
}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return PLACES[request.param](tmp_path)


def on_disk(place: Path) -> str:
    """The file with the line endings that the user has."""
    return (place / FILE).read_bytes().decode().replace("\r\n", "\n")


def write(place: Path, text: str) -> None:
    """Change the file, with the line endings it has."""
    ending = "\r\n" if b"\r\n" in (place / FILE).read_bytes() else "\n"
    (place / FILE).write_bytes(text.replace("\n", ending).encode())


def indexed(place: Path, revision: str = "") -> str:
    return git(place, "show", f"{revision}:./{FILE}").decode().lower()


def change_of(sources: Sources, source: object) -> FileChange:
    (change,) = [one for one in sources.changes(source) if one.path == FILE]  # type: ignore[arg-type]
    return change


def test_parts_are_staged_unstaged_discarded_and_committed(place: Path) -> None:
    write(place, BOTH)
    sources = Sources(place, Review(place))
    change = change_of(sources, WORK_TREE)
    first, _ = change.hunks
    sources.stage(change, {first.id: None})
    assert indexed(place) == FIRST
    staged = change_of(sources, STAGED)
    sources.unstage(staged, whole(staged))
    assert indexed(place) == TEXT
    sources.stage(change, {first.id: None})
    rest = change_of(sources, WORK_TREE)
    sources.discard([(rest, whole(rest))])
    assert on_disk(place) == FIRST
    assert b"\r" not in (place / FILE).read_bytes().replace(b"\r\n", b"")
    assert git(place, "diff", "--stat") == b""
    sources.commit("three")
    assert indexed(place, "HEAD") == FIRST
    assert git(place, "status", "--porcelain") == b""
    assert git(place, "fsck", "--no-dangling", check=False) == b""


def test_what_is_kept_of_the_agents_is_committed(place: Path) -> None:
    review = Review(place)
    before = (place / FILE).read_bytes()
    review.begin_turn(1)
    write(place, BOTH)
    after = (place / FILE).read_bytes()
    (place / FILE).write_bytes(before)
    review.record(FILE, FileImage(before), FileImage(after))
    (place / FILE).write_bytes(after)
    review.command_started()
    (place / "run.sh").write_text("x\n")
    (place / "run.sh").chmod(0o755)
    (place / "link").symlink_to("run.sh")
    review.command_finished()
    review.end_turn(1)
    hunks = {change.path: change.hunks for change in review.changes()}
    first, second = hunks[FILE]
    review.keep(frozenset({first.id, hunks["run.sh"][0].id, hunks["link"][0].id}))
    review.reject(frozenset({second.id}))
    assert on_disk(place) == FIRST
    others = git(place, "ls-tree", "-r", "HEAD", "outer")
    review.commit("three")
    assert indexed(place, "HEAD") == FIRST
    assert git(place, "ls-tree", "-r", "HEAD", "outer") == others
    modes = {line.split(b"\t")[1]: line[:6] for line in git(place, "ls-tree", "HEAD").splitlines()}
    assert (modes[b"run.sh"], modes[b"link"]) == (b"100755", b"120000")
    assert git(place, "diff", "HEAD", "--stat") == b""
    assert review.changes() == ()


def clash(place: Path) -> None:
    """Two branches that change the same line, and a third change that is in nobody's way."""
    git(place, "checkout", "-qb", "side")
    (place / FILE).write_text(TEXT.replace("line 20\n", "theirs\n"))
    git(place, "commit", "-qam", "theirs")
    git(place, "checkout", "-q", "main")
    (place / FILE).write_text(TEXT.replace("line 20\n", "ours\n"))
    git(place, "commit", "-qam", "ours")


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (("merge", "side"), "merge"),
        (("cherry-pick", "side"), "cherry-pick"),
        (("rebase", "side"), "rebase"),
        (("rebase", "--apply", "side"), "rebase"),
    ],
)
def test_in_the_middle_of_something_nothing_is_committed_and_nothing_harmed(
    tmp_path: Path, command: tuple[str, ...], word: str
) -> None:
    place = plain(tmp_path / "work")
    clash(place)
    git(place, *command, check=False)
    state = git(place, "status", "--porcelain=v2")
    review = Review(place)
    sources = Sources(place, review)
    conflict = change_of(sources, WORK_TREE)
    assert conflict.kind == "combined"
    with pytest.raises(ReviewError, match="conflicts"):
        sources.stage(conflict, whole(conflict))
    with pytest.raises(ReviewError, match=f"A {word} is under way"):
        sources.commit("x")
    assert git(place, "status", "--porcelain=v2") == state
    # What has no conflict is staged and discarded as ever, and the agent's work reviewed.
    (place / "outer" / "o.txt").write_text("o\nmore\n")
    change = next(one for one in sources.changes(WORK_TREE) if one.path == "outer/o.txt")
    sources.stage(change, whole(change))
    sources.unstage(change, whole(change))
    sources.discard([(change, whole(change))])
    assert git(place, "status", "--porcelain=v2") == state
    review.begin_turn(1)
    review.command_started()
    (place / "outer" / "o.txt").write_text("o\nmore\n")
    review.command_finished()
    review.end_turn(1)
    keep_all(review)
    with pytest.raises(ReviewError, match=f"A {word} is under way"):
        review.commit("x")
    reject_all(review)
    assert git(place, "status", "--porcelain=v2") == state


def test_a_clone_of_nothing_gets_its_first_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "empty.git")
    git(tmp_path, "clone", "--quiet", "empty.git", "work")
    place = tmp_path / "work"
    (place / FILE).write_text(TEXT)
    sources = Sources(place, Review(place))
    change = change_of(sources, WORK_TREE)
    (hunk,) = change.hunks
    sources.stage(change, {hunk.id: frozenset(range(20))})
    assert indexed(place) == "".join(TEXT.splitlines(keepends=True)[:20])
    staged = change_of(sources, STAGED)
    sources.unstage(staged, whole(staged))
    assert git(place, "ls-files") == b""
    sources.stage(change, whole(change))
    with pytest.raises(ReviewError, match="no commit yet"):
        sources.commit("x", amend=True)
    sources.commit("first")
    assert indexed(place, "HEAD") == TEXT


def test_a_bare_repository_is_no_place_for_work(tmp_path: Path) -> None:
    git(plain(tmp_path / "work"), "clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    bare = tmp_path / "bare"
    sources = Sources(bare, Review(bare))
    for act in (
        lambda: sources.changes(WORK_TREE),
        lambda: sources.changes(STAGED),
        lambda: sources.commit("x"),
    ):
        with pytest.raises(ReviewError, match="no work tree"):
            act()
    # What is committed can be looked at.
    source = source_of(bare, "HEAD")
    change = change_of(sources, source)
    assert (change.kind, sources.after(source, change)) == ("created", TEXT.encode())
    assert not git(tmp_path / "bare", "status", "--porcelain", check=False)


def test_a_filter_that_fails_is_quoted(tmp_path: Path) -> None:
    place = plain(tmp_path / "work")
    (place / ".gitattributes").write_text(f"{FILE} filter=gone\n")
    git(place, "config", "filter.gone.clean", "no-such-program")
    git(place, "config", "filter.gone.required", "true")
    (place / FILE).write_text(BOTH)
    with pytest.raises(GitError, match="filter"):
        Sources(place, Review(place)).changes(WORK_TREE)


@pytest.mark.parametrize("by", ["kept", "staged"])
def test_options_of_a_commit_and_what_stops_it(tmp_path: Path, by: str) -> None:
    place = plain(tmp_path / "work")
    review = Review(place)
    sources = Sources(place, review)

    def prepare(number: int, text: str) -> Callable[..., str]:
        review.begin_turn(number)
        before = (place / FILE).read_bytes()
        review.record(FILE, FileImage(before), FileImage(text.encode()))
        (place / FILE).write_text(text)
        review.end_turn(number)
        if by == "kept":
            keep_all(review)
            return review.commit
        git(place, "add", FILE)
        return sources.commit

    commit = prepare(1, FIRST)
    for message in ("", " \n# only a remark\n"[:2]):
        with pytest.raises(ReviewError, match="needs a message"):
            commit(message)
    git(place, "config", "commit.gpgSign", "true")
    git(place, "config", "gpg.program", "/nonexistent/gpg")
    with pytest.raises(ReviewError, match="gpg"):
        commit("signed")
    git(place, "config", "commit.gpgSign", "false")
    hooks = place / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name, script in {
        "pre-commit": "git diff --cached --name-only; echo checked >&2",
        "commit-msg": 'grep -q three "$1" || { echo say three >&2; exit 1; }',
    }.items():
        (hooks / name).write_text(f"#!/bin/sh\n{script}\n")
        (hooks / name).chmod(0o755)
    with pytest.raises(ReviewError, match="say three"):
        commit("four")
    assert git(place, "rev-list", "--count", "HEAD") == b"1\n"
    said = commit("three\n\nbody", sign_off=True)
    assert "checked" in said
    assert "a.txt" in said
    told = git(place, "log", "-1", "--format=%B").decode()
    assert told.strip() == "three\n\nbody\n\nSigned-off-by: A <a@localhost>"
    prepare(2, BOTH)("three, amended", amend=True)
    assert git(place, "rev-list", "--count", "HEAD") == b"2\n"
    assert indexed(place, "HEAD") == BOTH
    assert git(place, "status", "--porcelain") == b""


def swap(root: Path) -> None:
    """Files, directories and links that take one another's names."""
    (root / "file").unlink()
    (root / "file").mkdir()
    (root / "file" / "inner").write_text("inner\n")
    for path in ("there/deep/x", "there/y"):
        (root / path).unlink()
    (root / "there" / "deep").rmdir()
    (root / "there").rmdir()
    (root / "there").write_text("a file now\n")
    (root / "moved").mkdir()
    (root / "held" / "z").rename(root / "moved" / "z")
    (root / "held").rmdir()
    (root / "held").symlink_to("moved")
    (root / "link").unlink()
    (root / "link").write_text("a file now\n")
    (root / "plain").unlink()
    (root / "plain").symlink_to("file")


def swappable(place: Path) -> Path:
    root = plain(place)
    for path in ("file", "there/deep/x", "there/y", "held/z", "plain"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"{path}\n")
    (root / "link").symlink_to("plain")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "swappable")
    return root


def listing(root: Path) -> dict[str, str | bytes]:
    """Files and links; an empty directory is nothing to git."""
    found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if ".git" not in path.parts}
    return {
        name: str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for name, path in found.items()
        if path.is_symlink() or path.is_file()
    }


def test_files_directories_and_links_that_swap_names_are_taken_back(tmp_path: Path) -> None:
    root = swappable(tmp_path / "work")
    before = listing(root)
    review = Review(root)
    review.begin_turn(1)
    review.command_started()
    swap(root)
    review.command_finished()
    review.end_turn(1)
    after = listing(root)
    shown = {change.path: change.kind for change in review.changes()}
    assert shown == {
        **{"file": "deleted", "file/inner": "created", "there": "created", "there/deep/x": "deleted"},
        **{
            "there/y": "deleted",
            "held": "symlink",
            "moved/z": "renamed",
            "link": "symlink",
            "plain": "symlink",
        },
    }
    assert reject_all(review) == ""
    assert listing(root) == before
    assert review.undo()
    assert listing(root) == after
    keep_all(review)
    review.commit("swapped")
    assert git(root, "status", "--porcelain") == b""


def test_files_directories_and_links_that_swap_names_are_staged_and_discarded(tmp_path: Path) -> None:
    root = swappable(tmp_path / "work")
    before = listing(root)
    swap(root)
    after = listing(root)
    log = Review(root)
    desk, staged = (SourceDesk(source, Sources(root, log), log) for source in (WORK_TREE, STAGED))

    def parts(of: SourceDesk) -> list[HunkPart]:
        return [HunkPart(change, hunk) for change in of.changes() for hunk in change.hunks]

    assert len({part.change.path for part in parts(desk)}) == len(parts(desk))
    desk.take(parts(desk))
    assert git(root, "diff", "--name-only") == git(root, "ls-files", "--others") == b""
    staged.drop(parts(staged))
    assert git(root, "diff", "--cached", "--name-only") == b""
    desk.drop(parts(desk))
    assert (git(root, "status", "--porcelain"), listing(root)) == (b"", before)
    desk.undo()
    assert listing(root) == after


def test_what_git_could_not_merge_is_shown_and_staged_when_it_is_resolved(tmp_path: Path) -> None:
    root = plain(tmp_path / "work")
    git(root, "checkout", "-q", "-b", "side")
    (root / FILE).write_text("side\n")
    (root / "outer" / "o.txt").unlink()
    git(root, "commit", "-q", "-a", "-m", "side")
    git(root, "checkout", "-q", "main")
    (root / FILE).write_text("main\n")
    (root / "outer" / "o.txt").write_text("main\n")
    git(root, "commit", "-q", "-a", "-m", "main")
    git(root, "merge", "side", check=False)
    log = Review(root)
    desk = SourceDesk(WORK_TREE, Sources(root, log), log)
    before = git(root, "ls-files", "-s")
    conflict, removed = ([HunkPart(change, hunk) for hunk in change.hunks] for change in desk.changes())
    assert [part.change.kind for part in (*conflict, *removed)] == ["combined", "combined"]
    with pytest.raises(ReviewError, match="conflicts"):
        desk.take([*conflict, *removed])
    assert git(root, "ls-files", "-s") == before
    (root / FILE).write_text("both\n")
    desk.take([*conflict, *removed])
    assert git(root, "ls-files", "-u") == b""
    desk.undo()
    assert git(root, "ls-files", "-s") == before


def test_staging_a_file_that_is_meant_to_be_added_is_taken_back(tmp_path: Path) -> None:
    root = plain(tmp_path / "work")
    (root / "new").write_text("1\n2\n")
    git(root, "add", "--intent-to-add", "new")
    before = git(root, "status", "--porcelain")
    log = Review(root)
    desk = SourceDesk(WORK_TREE, Sources(root, log), log)
    (change,) = desk.changes()
    desk.take([HunkPart(change, change.hunks[0], frozenset({1}))])
    assert git(root, "show", ":new") == b"2\n"
    desk.undo()
    assert git(root, "status", "--porcelain") == before


def test_a_plain_diff_makes_and_removes_files(tmp_path: Path) -> None:
    root = plain(tmp_path / "work")
    (root / "gone").write_text("gone\n")
    text = b"--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+new\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n"
    log = Review(root)
    desk = SourceDesk(Source("patch", "it", patch=text), Sources(root, log), log)
    desk.take([HunkPart(change, hunk) for change in desk.changes() for hunk in change.hunks])
    assert (root / "new").read_text() == "new\n"
    assert not (root / "gone").exists()
    desk.undo()
    assert (root / "gone").exists()
    assert not (root / "new").exists()


def test_a_filter_that_is_a_script_of_the_repository_s_runs_where_it_expects_to(tmp_path: Path) -> None:
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "--quiet")
    (root / "tools").mkdir()
    for name, expression in (("clean", "s/hunter2/PLACEHOLDER/"), ("smudge", "s/PLACEHOLDER/hunter2/")):
        script = root / "tools" / name
        script.write_text(f"#!/bin/sh\nexec sed {expression}\n")
        script.chmod(0o755)
        git(root, "config", f"filter.secret.{name}", f"./tools/{name}")
    (root / ".gitattributes").write_text("*.conf filter=secret\n")
    lines = [f"line {number}\n" for number in range(20)]
    lines[3] = lines[16] = "password hunter2\n"
    (root / "sub").mkdir()
    file = root / "sub" / "a.conf"
    file.write_text("".join(lines))
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "one")
    file.write_text("".join(lines).replace("line 1\n", "one\n").replace("line 18\n", "eighteen\n"))
    sources = Sources(root, Review(root))
    [change] = sources.changes(WORK_TREE)
    sources.discard([(change, {change.hunks[0].id: None})])
    assert file.read_text() == "".join(lines).replace("line 18\n", "eighteen\n")


def test_a_file_that_was_only_announced_goes_with_its_entry(tmp_path: Path) -> None:
    root = plain(tmp_path / "work")
    (root / "new.txt").write_text("new\n")
    git(root, "add", "--intent-to-add", "new.txt")
    sources = Sources(root, Review(root))
    [change] = sources.changes(WORK_TREE)
    sources.discard([(change, whole(change))])
    assert git(root, "status", "--porcelain") == b"" and not (root / "new.txt").exists()
    Review(root).undo()
    assert (root / "new.txt").read_text() == "new\n"
