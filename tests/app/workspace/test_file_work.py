"""What is done to files in the tree is taken back, and never overwrites anything."""

from pathlib import Path

import pytest

from app.workspace.errors import WorkspaceError
from app.workspace.file_work import FileWork


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Where the trash is, the library reads once, from the user's own home directory.
    trash = tmp_path / "trash"
    trash.mkdir()
    monkeypatch.setattr(
        "app.workspace.file_work.send2trash", lambda path: path.rename(trash / str(len(list(trash.iterdir()))))
    )
    root = tmp_path / "w"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").write_text("one\n")
    (root / "src" / "a.py").chmod(0o755)
    (root / "src" / "link").symlink_to("a.py")
    (root / "b.txt").write_text("two\n")
    return root


def snapshot(root: Path) -> dict[str, object]:
    return {
        path.relative_to(root).as_posix(): str(path.readlink())
        if path.is_symlink()
        else (path.stat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in sorted(root.rglob("*"))
    }


def test_every_step_is_taken_back(root: Path) -> None:
    work = FileWork(root)
    states = [snapshot(root)]
    for step in (
        lambda: work.create("new/deep/file.txt"),
        lambda: work.create("folder/"),
        lambda: work.move("b.txt", "src/c.txt"),
        lambda: work.move("src", "lib/source"),
        lambda: work.copy("lib/source", "copy"),
        lambda: work.throw_away("lib/source/a.py"),
        lambda: work.throw_away("copy"),
    ):
        step()
        states.append(snapshot(root))
        assert states[-1] != states[-2]
    for before in reversed(states[:-1]):
        assert work.undo()
        assert snapshot(root) == before
    assert work.undo() == ""


def test_nothing_is_overwritten_and_nothing_leaves_the_workspace(root: Path) -> None:
    work = FileWork(root)
    before = snapshot(root)
    for step in (
        lambda: work.create("b.txt"),
        lambda: work.move("b.txt", "src/a.py"),
        lambda: work.copy("b.txt", "src/link"),
        lambda: work.move("src", "src/inner"),
        lambda: work.copy("src", "src/inner"),
        lambda: work.create("../outside"),
        lambda: work.move("b.txt", ".git/hooks/x"),
        lambda: work.throw_away(""),
        lambda: work.throw_away("gone"),
        lambda: work.create("b.txt/below"),
    ):
        with pytest.raises(WorkspaceError):
            step()
        assert snapshot(root) == before
    assert work.undo() == ""


def test_what_was_written_since_is_not_lost_by_taking_back(root: Path) -> None:
    work = FileWork(root)
    work.create("new.txt")
    (root / "new.txt").write_text("mine\n")
    with pytest.raises(WorkspaceError, match="no longer empty"):
        work.undo()
    work = FileWork(root)
    work.throw_away("b.txt")
    (root / "b.txt").write_text("mine\n")
    with pytest.raises(WorkspaceError, match="there again"):
        work.undo()
    assert (root / "b.txt").read_text() == "mine\n"
