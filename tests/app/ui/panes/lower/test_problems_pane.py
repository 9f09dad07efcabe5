"""What language servers say, in gutter, status line and list; and where names are defined and used."""

import sys
from pathlib import Path

import pytest

from app.paths import config_directory
from app.ui.dialogs.listing import Listing
from app.ui.panes.lower.problems import ProblemsPane
from app.ui.widgets.file_view import FileView
from tests.support.places import ROOT
from tests.support.ui.screen import Stage

SERVER = ROOT / "tests" / "support" / "programs" / "servers" / "language_server.py"


@pytest.fixture(autouse=True)
def servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    path = config_directory() / "settings.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'[language_servers.judge]\ncommand = ["{sys.executable}", "{SERVER}"]\nsuffixes = [".x"]\n'
    )


def status(stage: Stage) -> str:
    return str(stage.screen.query_one("#status").render())


async def test_problems_are_marked_counted_listed_opened_and_handed_over(tmp_path: Path) -> None:
    """With ruff, as it is installed."""
    (tmp_path / "a.py").write_text("import os\n\n\nprint(undefined)\n")
    async with Stage(tmp_path, show_file="a.py", has_language=True).run() as stage:
        await stage.until(lambda: "✗ 1" in status(stage))
        view = stage.screen.viewer.query_one("#file-view", FileView)
        assert set(view.problems) == {0, 3}
        assert view.row_gutter(3, False)[0].text == "✗" and view.row_gutter(1, False)[0].text == " "
        await stage.press("f3", "exclamation_mark")
        lines = stage.screen.query_one(ProblemsPane).lines
        rows = [lines.row_text(row) for row in range(len(lines.problems))]
        assert any("a.py:1" in row and "F401" in row for row in rows) and "✗ a.py:4" in rows[-1]
        await stage.press(*"jj", "enter")
        await stage.until(lambda: view.line_number == 4 and view.has_focus)
        await stage.press("n")
        await stage.until(lambda: view.line_number == 1)
        await stage.press("exclamation_mark", "a")
        assert "- a.py:4 error" in stage.screen.agent.prompt.text
        # What is mended is a problem no longer.
        (tmp_path / "a.py").write_text("print(1)\n")
        await stage.until(lambda: "✗" not in status(stage))
        assert view.problems == {}


async def test_problems_follow_what_is_written_before_it_is_saved(tmp_path: Path) -> None:
    (tmp_path / "a.x").write_text("good\n")
    async with Stage(tmp_path, show_file="a.x", has_language=True).run() as stage:
        await stage.until(lambda: stage.screen.viewer.path == "a.x")
        await stage.press("f3", "e", *"bad ")
        await stage.until(lambda: "✗ 1" in status(stage))
        area = stage.screen.viewer.editor.current
        assert area is not None and list(area.area.problems) == [0]


async def test_a_name_leads_to_its_definition_and_its_uses(tmp_path: Path) -> None:
    (tmp_path / "a.x").write_text("one\ndef grow\nshrink grow\n")
    async with Stage(tmp_path, show_file="a.x", has_language=True).run() as stage:
        view = stage.screen.viewer.query_one("#file-view", FileView)
        await stage.until(lambda: view.row_count == 3)
        await stage.press("f3", "j", "j", "at")
        # A line of two names: the user says which.
        await stage.until(lambda: isinstance(stage.app.screen, Listing))
        await stage.press("j", "enter")
        await stage.until(lambda: stage.app.screen is stage.screen and view.line_number == 2)
        await stage.press("j", "asterisk")
        await stage.until(lambda: isinstance(stage.app.screen, Listing))
        await stage.press("j", "enter")
        await stage.until(
            lambda: isinstance(stage.app.screen, Listing) and "2 places" in stage.app.screen._title
        )
        await stage.press("enter")
        await stage.until(lambda: stage.app.screen is stage.screen and view.line_number == 2)
        await stage.press("n")
        await stage.until(lambda: view.line_number == 3)


async def test_without_a_server_nothing_waits_and_the_list_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.unheard").write_text("x\n")
    async with Stage(tmp_path, show_file="a.unheard", has_language=True).run() as stage:
        await stage.until(lambda: stage.screen.viewer.path == "a.unheard")
        await stage.press("f3", "exclamation_mark")
        assert "No language server runs" in stage.screen.query_one(ProblemsPane).lines.row_text(0)
