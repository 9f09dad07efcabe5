"""The tree by keyboard: filtered, jumped in, and what is done to files from it."""

from pathlib import Path

import pytest

from app.ui.dialogs.confirm import Confirm
from tests.support.review.review_cases import git
from tests.support.ui.screen import Stage


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    trash = tmp_path / "trash"
    trash.mkdir()
    monkeypatch.setattr("app.workspace.file_work.send2trash", lambda path: path.rename(trash / path.name))
    root = tmp_path / "w"
    for name in ("src/review/pane.py", "src/other.py", "docs/notes.md", ".hidden", "readme.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{name}\n")
    return root


def here(stage: Stage) -> str:
    node = stage.screen.files.cursor_node
    return node.data.path if node is not None and node.data is not None else ""


def names(stage: Stage) -> list[str]:
    tree = stage.screen.files
    nodes = (tree.get_node_at_line(line) for line in range(tree.last_line + 1))
    return [node.data.path for node in nodes if node is not None and node.data is not None]


async def in_tree(stage: Stage) -> None:
    await stage.press("f2")
    await stage.until(lambda: "readme.md" in names(stage))


async def test_it_is_filtered_and_jumped_in_by_letters(root: Path) -> None:
    async with Stage(root).run() as stage:
        await in_tree(stage)
        await stage.press("slash", *"pane")
        await stage.until(lambda: names(stage) == ["src", "src/review", "src/review/pane.py"])
        await stage.press(*"zz")
        await stage.until(lambda: str(stage.screen.panes["tree"].border_subtitle) == "nothing found")
        await stage.press("backspace", "backspace", "enter", "enter")
        await stage.until(lambda: stage.screen.viewer.path == "src/review/pane.py")
        await stage.press("f2", "escape")
        await stage.until(lambda: "docs" in names(stage) and here(stage) == "src/review/pane.py")
        await stage.press("f", *"rea")
        await stage.until(lambda: here(stage) == "readme.md")
        await stage.press("escape", "full_stop")
        await stage.until(lambda: ".hidden" not in names(stage))
        await stage.press("full_stop")
        await stage.until(lambda: ".hidden" in names(stage))


async def test_files_are_made_moved_copied_deleted_and_that_is_taken_back(root: Path) -> None:
    async with Stage(root).run() as stage:
        await in_tree(stage)
        await stage.press("f", *"read", "escape", "n")
        await stage.until(lambda: "New file" in str(stage.screen.hint_line.render()))
        await stage.press(*"new/a.txt", "enter")
        await stage.until(lambda: here(stage) == "new/a.txt")
        assert (root / "new" / "a.txt").read_text() == ""
        await stage.press("m", "backspace", "backspace", "backspace", *"md", "enter")
        await stage.until(lambda: here(stage) == "new/a.md")
        await stage.press("c", *"2", "enter")
        await stage.until(lambda: here(stage) == "new/a.md2")
        await stage.press("enter", "f2")
        await stage.until(lambda: stage.screen.viewer.path == "new/a.md2")
        await stage.press("d")
        await stage.until(lambda: isinstance(stage.app.screen, Confirm))
        await stage.press("y")
        await stage.until(lambda: not (root / "new" / "a.md2").exists())
        back = [("new/a.md2", True), ("new/a.md2", False), ("new/a.txt", True), ("new", False)]
        for path, is_there in back:
            assert (root / path).exists() != is_there
            await stage.press("u")
            await stage.until(lambda path=path, is_there=is_there: (root / path).exists() == is_there)
            if path == "new/a.md2" and is_there:
                # What is shown is read again, and does not take the keys.
                await stage.until(lambda: stage.screen.viewer.document.text is not None)
                assert stage.screen.focused is stage.screen.files
        # Nothing is overwritten.
        await stage.press("f", *"read", "escape", "m", *(["backspace"] * 9), *".hidden", "enter")
        await stage.until(lambda: any("exists already" in note.message for note in stage.app._notifications))
        assert (root / ".hidden").read_text() == ".hidden\n"


async def test_a_file_is_staged_and_taken_out_of_the_index(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(root, "init", "--quiet")
    copied: list[str] = []
    async with Stage(root).run() as stage:
        monkeypatch.setattr(stage.app, "copy", lambda text: told(copied, text))
        await in_tree(stage)
        await stage.press("f", *"read", "escape", "y", "s")
        await stage.until(lambda: git(root, "diff", "--cached", "--name-only").split() == [b"readme.md"])
        await stage.until(lambda: stage.screen.files.is_staged("readme.md"))
        await stage.press("s")
        await stage.until(lambda: git(root, "diff", "--cached", "--name-only") == b"")
        assert copied == ["readme.md"]


async def told(copied: list[str], text: str) -> bool:
    copied.append(text)
    return True
