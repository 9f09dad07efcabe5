"""Writing in a file: keys, saving, conflicts, searching, what is kept over a crash, and whose the lines are."""

import asyncio
from pathlib import Path

import pytest

from app.editing.recovery import Recovery
from app.ui.dialogs.choice import Choice
from app.ui.dialogs.conflict import Conflict
from app.ui.diff.view import DiffView
from app.ui.panes.editor.area import EditorArea
from app.ui.widgets.file_view import FileView
from tests.support.review.review_cases import git
from tests.support.ui.screen import Stage, edit


async def writing(stage: Stage, path: str, line: int = 1) -> EditorArea:
    """Begin to write in `path` at `line`."""
    viewer = stage.screen.viewer
    stage.screen.open_file(path, line)
    await stage.until(lambda: viewer.path == path and not viewer.is_writing, path)
    await stage.press("f3", "e")
    await stage.until(lambda: viewer.is_writing, "writing")
    return viewer.editor.current.area


async def saved(stage: Stage) -> None:
    await stage.press("ctrl+s")
    await stage.until(lambda: not stage.screen.viewer.editor.unsaved, "saved")


async def test_reading_keys_read_until_writing_begins_and_escape_reads_again(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def one():\n    return 1\n")
    (tmp_path / "b.py").write_text(f"begin\n{' ' * 8}{'x' * 36}\n")
    async with Stage(tmp_path, show_file="a.py").run() as stage:
        viewer = stage.screen.viewer
        # A long line is shown from its beginning, as it was read.
        stage.screen.open_file("b.py")
        await stage.until(lambda: viewer.path == "b.py")
        await stage.press("f3", "G", "i")
        await stage.until(lambda: viewer.is_writing)
        await stage.press("right")
        assert viewer.editor.current.area.scroll_offset.x == 0
        stage.screen.open_file("a.py")
        await stage.until(lambda: viewer.path == "a.py")
        await stage.press("f3", "j")
        assert viewer.line_number == 2 and not viewer.is_writing
        await stage.press("i")
        await stage.until(lambda: viewer.is_writing)
        assert "writing" in viewer.facts and stage.screen.panes["centre"].has_class("writing")
        await stage.press("end", "enter", *"if ab", "backspace", *":", "enter", *"jkn")
        area = viewer.editor.current.area
        assert area.text == "def one():\n    return 1\nif a:\n    jkn\n"
        await stage.press("ctrl+z", "ctrl+z", "ctrl+y", "escape")
        await stage.until(lambda: not viewer.is_writing)
        # What was written is read, marked as unsaved, and at the place where it was left.
        assert viewer.title == "a.py ●" and "if a" in "\n".join(viewer.query_one(FileView).lines)
        assert (tmp_path / "a.py").read_text() == "def one():\n    return 1\n"
        await stage.press("e")
        await stage.until(lambda: viewer.is_writing)
        assert viewer.editor.current.area is area
        await saved(stage)
        assert (tmp_path / "a.py").read_text() == area.text and viewer.title == "a.py"


async def test_lines_are_indented_commented_and_selected_together(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("a\n    b\n\nc\n")
    async with Stage(tmp_path).run() as stage:
        area = await writing(stage, "a.py")
        await stage.press("ctrl+home", "ctrl+d", "ctrl+d", "tab")
        assert area.text == "    a\n        b\n\nc\n"
        await stage.press("ctrl+slash")
        assert area.text == "    # a\n    #     b\n\nc\n"
        await stage.press("ctrl+underscore", "shift+tab", "shift+tab")
        assert area.text == "a\nb\n\nc\n"
        assert area.selected_text == "a\nb\n"
        await stage.press("ctrl+z", "ctrl+z", "ctrl+z", "ctrl+z", "ctrl+z")
        assert area.text == "a\n    b\n\nc\n"
        await stage.press("ctrl+end", *"f(", "enter")
        assert area.text.endswith("f(\n    ")
        await stage.press(")")
        assert area.text.endswith("f(\n)")
        await stage.press("left")
        assert area.matching_bracket_location is None or area.matching_bracket_location[0] == 4


async def test_matches_are_counted_walked_and_replaced_in_one_step(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One two\none Two\nbone\n")
    async with Stage(tmp_path).run() as stage:
        area = await writing(stage, "a.txt")

        def count() -> str:
            return str(stage.screen.query_one("#search-count").render())

        await stage.press("ctrl+home", "ctrl+f", *"one")
        await stage.until(lambda: count() == "1 of 3", "the count")
        await stage.press("enter")
        await stage.until(lambda: count() == "2 of 3")
        await stage.press("up", "up")
        await stage.until(lambda: count() == "3 of 3")
        assert area.selection.start == (2, 1)
        await stage.press("ctrl+t")
        await stage.until(lambda: "of 2" in count() or "2 found" in count())
        await stage.press("ctrl+t", "ctrl+r", "home", *"\\b", "tab", *"1", "ctrl+l")
        await stage.until(lambda: area.text == "1 two\n1 Two\nbone\n")
        await stage.press("escape", "ctrl+z")
        assert area.text == "One two\none Two\nbone\n"
        # One by one, from the cursor on.
        await stage.press("ctrl+home", "ctrl+r", "tab", "end", *"!", "enter", "enter", "enter")
        await stage.until(lambda: area.text == "1! two\n1! Two\nbone\n")


@pytest.mark.parametrize("by", ["the agent", "another program"])
@pytest.mark.parametrize("answer", ["escape", "m", "t", "b"])
async def test_what_others_write_meanwhile_is_shown_before_anything_is_written(
    tmp_path: Path, by: str, answer: str
) -> None:
    (tmp_path / "a.py").write_text("one\ntwo\nthree\nfour\nfive\n")
    theirs = "one\ntwo\nthree\nfour\nFIVE\n"
    mine = "ONE\ntwo\nthree\nfour\nfive\n"
    async with Stage(tmp_path).run() as stage:
        area = await writing(stage, "a.py")
        viewer = stage.screen.viewer
        await stage.press("ctrl+home", "delete", "delete", "delete", *"ONE")
        if by == "the agent":
            edit(stage.review, tmp_path, a__py=theirs)
        else:
            (tmp_path / "a.py").write_text(theirs)
        await viewer.editor.disk_changed(None, "The agent" if by == "the agent" else "Somebody")
        await stage.until(lambda: viewer.query_one("#editor-warning").display, "the warning")
        assert area.text == mine
        await stage.press("ctrl+s")
        await stage.until(lambda: isinstance(stage.app.screen, Conflict), "both sides")
        assert (tmp_path / "a.py").read_text() == theirs
        view = stage.app.screen.query_one(DiffView)
        shown = "\n".join(strip.text for strip in map(view.render_line, range(20)))
        assert all(word in shown for word in ("ONE", "FIVE", "one", "five"))
        await stage.press(answer)
        await stage.until(lambda: stage.app.screen is stage.screen)
        if answer == "escape":
            assert (tmp_path / "a.py").read_text() == theirs and area.text == mine
            return
        both = "ONE\ntwo\nthree\nfour\nFIVE\n"
        wanted = {"m": mine, "t": theirs, "b": both}[answer]
        await stage.until(lambda: area.text == wanted, wanted)
        if answer == "b":
            assert (tmp_path / "a.py").read_text() == theirs and viewer.editor.unsaved == ["a.py"]
            await stage.press("ctrl+s")
        await stage.until(lambda: (tmp_path / "a.py").read_text() == wanted and not viewer.editor.unsaved)
        # Taking theirs can be taken back like anything else that is written.
        if answer == "t":
            await stage.press("ctrl+z")
            assert area.text == mine


async def test_what_is_written_by_hand_is_the_users_own_in_the_review(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a.py").write_text("".join(f"line {number}\n" for number in range(20)))
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    async with Stage(tmp_path).run() as stage:
        # In the middle of a turn, with a command of the agent's running.
        stage.review.begin_turn(1, "s", "")
        stage.review.command_started(("a.py",))
        text = (tmp_path / "a.py").read_text()
        (tmp_path / "a.py").write_text(text.replace("line 15", "the agent's"))
        area = await writing(stage, "a.py")
        await stage.until(lambda: "the agent's" in area.text)
        await stage.press("ctrl+home", *"mine ")
        await saved(stage)
        stage.review.command_finished()
        stage.review.end_turn(1)
        (change,) = await asyncio.to_thread(stage.review.changes)
        added = [line.text for hunk in change.hunks for line in hunk.lines if line.kind == "added"]
        assert added == ["the agent's"]
        assert (tmp_path / "a.py").read_text().startswith("mine line 0")


async def test_the_gutter_follows_what_is_written_and_its_keys_go_there(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a.txt").write_text("".join(f"{number}\n" for number in range(60)))
    git(tmp_path, "add", "-A")
    async with Stage(tmp_path).run() as stage:
        area = await writing(stage, "a.txt", 10)
        await stage.press("home", *"x")
        await stage.until(lambda: area.marks.by_line == {9: "changed"}, "the mark")
        area.move_cursor((40, 0))
        await stage.press("ctrl+d", "backspace")
        await stage.until(lambda: area.marks.by_line == {9: "changed", 39: "removed"}, "both marks")
        await stage.press("escape")
        viewer = stage.screen.viewer
        await stage.until(lambda: not viewer.is_writing and viewer.query_one(FileView).marks.starts)
        await stage.press("right_square_bracket")
        assert viewer.line_number == 10
        await stage.press("right_square_bracket")
        assert viewer.line_number == 40
        await stage.press("left_square_bracket")
        assert viewer.line_number == 10


async def test_open_files_are_listed_and_switched_and_unsaved_ones_hold_the_quitter_up(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(f"{name}\n")
    async with Stage(tmp_path).run() as stage:
        viewer = stage.screen.viewer
        await writing(stage, "a.txt")
        await stage.press("ctrl+home", *"new ")
        await writing(stage, "b.txt")
        await stage.press("escape")
        await stage.until(lambda: not viewer.is_writing)
        await stage.press("right_curly_bracket")
        await stage.until(lambda: viewer.path == "a.txt")
        assert viewer.title == "a.txt ●"
        await stage.press("o", "enter")
        await stage.until(lambda: stage.app.screen is stage.screen)
        await stage.press("ctrl+q")
        await stage.until(lambda: isinstance(stage.app.screen, Choice))
        await stage.press("escape")
        assert stage.app.screen is stage.screen and stage.app.is_running
        await stage.press("ctrl+q")
        await stage.until(lambda: isinstance(stage.app.screen, Choice))
        await stage.press("s")
        await stage.until(lambda: not stage.app.is_running or stage.app._exit, "the end")
    assert (tmp_path / "a.txt").read_text() == "new a\n"
    assert Recovery(tmp_path).left() == (), "a copy of what was saved at the end"


async def test_unsaved_text_outlives_its_process_and_is_given_back(tmp_path: Path) -> None:
    root = tmp_path / "w"
    root.mkdir()
    (root / "a.txt").write_text("a\n")
    first = Stage(root)
    async with first.run() as stage:
        await writing(stage, "a.txt")
        await stage.press("ctrl+home", *"lost ")
    # It ended without being asked, as by a signal.
    async with Stage(root, show_file="a.txt").run() as stage:
        await stage.until(lambda: isinstance(stage.app.screen, Choice), "the offer")
        await stage.press("r")
        await stage.until(lambda: stage.screen.viewer.title == "a.txt ●")
        assert (root / "a.txt").read_text() == "a\n"
        await stage.press("e")
        await stage.until(lambda: stage.screen.viewer.is_writing)
        await saved(stage)
        assert (root / "a.txt").read_text() == "lost a\n"
    async with Stage(root, show_file="a.txt").run() as stage:
        await stage.until(lambda: stage.screen.viewer.path == "a.txt")
        await stage.until(lambda: not stage.screen.viewer.editor.keeping.left)
        assert stage.app.screen is stage.screen
