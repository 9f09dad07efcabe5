"""Texts that lose more lines at once than their views show."""

from pathlib import Path

from app.ui.panes.editor.area import EditorArea
from app.ui.widgets.writing_area import WritingArea
from tests.support.ui.screen import Stage


async def test_a_text_that_was_too_long_to_be_seen_is_undone(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    async with Stage(tmp_path, show_file="a.py").run(size=(80, 24)) as stage:
        await stage.until(lambda: stage.screen.viewer.path == "a.py")
        await stage.press("f3", "i")
        await stage.until(lambda: stage.screen.viewer.is_writing)
        for area in (stage.screen.viewer.editor.current.area, stage.screen.agent.prompt):
            assert isinstance(area, EditorArea | WritingArea)
            area.focus()
            await stage.pilot.pause()
            area.insert("x\n" * 100)
            await stage.pilot.pause()
            area.undo()
            await stage.pilot.pause()
            assert area.text == "" and area.cursor_location == (0, 0)
            area.redo()
            await stage.pilot.pause()
            assert area.document.line_count == 101
