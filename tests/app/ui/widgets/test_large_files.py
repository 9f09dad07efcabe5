"""Files that take a while, and lines that go on for ever, in the viewer."""

from pathlib import Path
from threading import Event

import pytest

from app.ui.widgets.file_view import FileView
from tests.support.patience import LONGEST
from tests.support.ui.screen import Stage


async def test_a_large_file_is_said_to_be_read_until_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.txt", "large.log"):
        (tmp_path / name).write_text("first line\n")
    async with Stage(tmp_path).run() as stage:
        viewer = stage.screen.viewer
        viewer.open("a.txt")
        await stage.until(lambda: viewer.path == "a.txt")
        load, go = viewer._load, Event()
        monkeypatch.setattr(viewer, "_load", lambda path: go.wait(LONGEST) and load(path))
        viewer.open("large.log")
        notice = viewer.query_one("#viewer-notice")
        await stage.until(lambda: "being read" in str(notice.render()), "the notice")
        await stage.until(lambda: "large.log" in str(stage.screen.panes["centre"].border_title), "its name")
        # What the disk says of the file that was there before does not stop it.
        viewer.reload()
        go.set()
        await stage.until(lambda: viewer.path == "large.log")
        assert viewer.query_one(FileView).display and not notice.display


@pytest.mark.parametrize("filler", ["a", "漢", "\t"], ids=["narrow", "wide", "tabs"])
async def test_matches_far_along_one_line_are_shown_one_after_the_other(tmp_path: Path, filler: str) -> None:
    line = filler * 3_000 + "needle" + filler * 3_000 + "needle" + filler * 50
    (tmp_path / "one.txt").write_text(line)
    async with Stage(tmp_path).run() as stage:
        stage.screen.viewer.open("one.txt")
        await stage.until(lambda: stage.screen.viewer.path == "one.txt")
        view = stage.screen.viewer.query_one(FileView)
        view.set_wrap(True)
        assert view.find("needle", from_cursor=True)
        first = view.cursor_row
        assert "needle" in view.row_text(first) + view.row_text(first + 1)
        assert view.find("needle")
        second = view.cursor_row
        assert second > first + 10
        assert "needle" in view.row_text(second) + view.row_text(min(second + 1, view.row_count - 1))
        assert view.find("needle", backwards=True)
        assert view.cursor_row == first
