"""The tests pane: run by a key, failures opened and walked, handed over, stopped, run by another command."""

from pathlib import Path

from app.settings.settings import load_settings
from app.ui.panes.lower.tests import TestsPane
from app.ui.widgets.file_view import FileView
from tests.support.ui.screen import Stage

FAILING = """\
import unittest

class Sums(unittest.TestCase):
    def test_adds(self):
        self.assertEqual(1, 2)

    def test_holds(self):
        pass

    def test_loses(self):
        self.assertEqual(3, 4)
"""


def pane_of(stage: Stage) -> TestsPane:
    return stage.screen.query_one(TestsPane)


async def test_failures_are_listed_opened_walked_and_handed_to_the_agent(tmp_path: Path) -> None:
    (tmp_path / "test_sums.py").write_text(FAILING)
    async with Stage(tmp_path).run() as stage:
        await stage.press("f2", "equals_sign")
        await stage.until(lambda: "tests ✗ 2" in str(stage.screen.query_one("#status").render()))
        lines = pane_of(stage).lines
        assert "2 failed, 1 passed" in lines.row_text(0) and "test_sums.py:5" in lines.row_text(1)
        assert any("Ran 3 tests" in lines.row_text(row) for row in range(lines.row_count))
        await stage.press("plus", "n", "enter")
        view = stage.screen.viewer.query_one("#file-view", FileView)
        await stage.until(lambda: stage.screen.viewer.path == "test_sums.py" and view.line_number == 11)
        # In the viewer the key for the next result goes on to the next failure.
        await stage.until(lambda: view.has_focus)
        await stage.press("n")
        await stage.until(lambda: view.line_number == 5)
        await stage.press("plus", "a")
        await stage.until(lambda: stage.screen.agent.prompt.has_focus)
        assert "- test_sums.py:5 test_adds AssertionError: 1 != 2" in stage.screen.agent.prompt.text


async def test_a_line_of_output_opens_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("one\ntwo\nthree\n")
    (tmp_path / "Makefile").write_text("test:\n\t@echo; echo 'see a.c:2'\n")
    async with Stage(tmp_path).run() as stage:
        await stage.press("f2", "equals_sign")
        await stage.until(lambda: "tests ✓" in str(stage.screen.query_one("#status").render()))
        lines = pane_of(stage).lines
        await stage.press("plus")
        lines.move_to(next(row for row in range(lines.row_count) if "see a.c:2" in lines.row_text(row)))
        await stage.press("enter")
        view = stage.screen.viewer.query_one("#file-view", FileView)
        await stage.until(lambda: stage.screen.viewer.path == "a.c" and view.line_number == 2)


async def test_tests_are_stopped_and_another_command_is_kept(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("test:\n\t@echo has begun; sleep 1000\n")
    async with Stage(tmp_path).run(size=(80, 24)) as stage:
        await stage.press("f2", "equals_sign", "plus")
        lines = pane_of(stage).lines
        await stage.until(lambda: "has begun" in lines.row_text(lines.row_count - 1))
        await stage.press("x")
        await stage.until(lambda: not pane_of(stage).is_running)
        await stage.until(lambda: "tests stopped" in str(stage.screen.query_one("#status").render()))
        await stage.press("c", "ctrl+a", "ctrl+k", *"exit 3", "enter")
        await stage.until(lambda: "exit status 3" in lines.row_text(0))
        assert load_settings().test_commands == {str(tmp_path): "exit 3"}
        # Escape leaves the field first, then the pane.
        await stage.press("c", "escape")
        assert lines.has_focus
        await stage.press("escape")
        assert not stage.screen.lower.display


async def test_where_no_command_is_found_the_pane_says_how_to_give_one(tmp_path: Path) -> None:
    async with Stage(tmp_path).run() as stage:
        await stage.press("f2", "equals_sign")
        await stage.until(lambda: "c writes one" in pane_of(stage).lines.row_text(0))
