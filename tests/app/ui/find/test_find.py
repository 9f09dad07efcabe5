"""Files, text and symbols are found by keyboard, opened at their line, walked and handed to the agent."""

from pathlib import Path

import pytest
from textual.command import CommandList, CommandPalette
from textual.widgets import Input, Static

from app.ui.base import ActionProvider
from app.ui.find.files import FindFile
from app.ui.find.finder import Finder
from app.ui.find.symbols import FindSymbol
from app.ui.find.text import FindText
from app.ui.widgets.file_view import FileView
from tests.support.ui.screen import Stage

CODE = """\
class Sum:
    def add(self, other):
        return other


def total(values):
    return sum(values)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {
        "src/review/pane.py": CODE,
        "src/other.py": "def other():\n    return 1\n",
        "docs/notes.md": "# Notes\n\nof other things\n",
        "build/pane.py": "other\n",
        ".gitignore": "build/\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


async def settled(stage: Stage, kind: type[Finder]) -> list[str]:
    """The rows of the box, once they are those of what is written."""
    await stage.until(lambda: isinstance(stage.app.screen, kind) and stage.app.screen.is_settled)
    finder = stage.app.screen
    assert isinstance(finder, Finder)
    return [f"{row.head} {row.name} {row.tail}".strip() for row in finder._lines.entries]


def count(stage: Stage) -> int:
    finder = stage.app.screen
    assert isinstance(finder, Finder)
    return len(finder._lines.entries)


def place(stage: Stage) -> tuple[str | None, int]:
    return stage.screen.viewer.path, stage.screen.viewer.query_one("#file-view", FileView).line_number


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_file_is_opened_by_some_letters_and_the_tree_follows(root: Path, size: tuple[int, int]) -> None:
    async with Stage(root, show_file="src/other.py").run(size) as stage:
        await stage.until(lambda: stage.screen.viewer.path == "src/other.py")
        assert stage.screen.files.cursor_node is not None
        await stage.until(lambda: stage.screen.files.cursor_node.data.path == "src/other.py")
        await stage.press("ctrl+l", *"rvpane", "enter")
        await stage.until(lambda: stage.screen.viewer.path == "src/review/pane.py")
        await stage.until(lambda: stage.screen.files.cursor_node.data.path == "src/review/pane.py")
        # What was open lately goes first; what git ignores is not there.
        await stage.press("comma")
        rows = await settled(stage, FindFile)
        assert rows[0] == "other.py src"
        assert not [row for row in rows if "build" in row]
        await stage.press("down", "up", "ctrl+n", "ctrl+b", "escape")
        assert stage.app.screen is stage.screen


async def test_text_is_searched_as_one_writes_and_its_results_are_walked(root: Path) -> None:
    async with Stage(root).run() as stage:
        await stage.press("ctrl+s", *"other")
        rows = await settled(stage, FindText)
        assert [row.split()[0] for row in rows] == [
            "docs/notes.md:3",
            "src/other.py:1",
            "src/review/pane.py:2",
            "src/review/pane.py:3",
        ]
        await stage.press("tab", *"*.py")
        await stage.until(lambda: count(stage) == 3)
        await stage.press("tab", "ctrl+r", *"$")
        await stage.until(lambda: count(stage) == 1)
        await stage.press("backspace", "ctrl+r", "ctrl+t")
        await stage.until(lambda: count(stage) == 3)
        await stage.press("enter")
        await stage.until(lambda: place(stage) == ("src/other.py", 1))
        for key, expected in [
            ("n", ("src/review/pane.py", 2)),
            ("n", ("src/review/pane.py", 3)),
            ("n", ("src/other.py", 1)),
            ("N", ("src/review/pane.py", 3)),
        ]:
            await stage.press(key)
            await stage.until(lambda expected=expected: place(stage) == expected)
        # A search within the file takes the keys.
        await stage.press("slash", *"sum", "enter", "n")
        await stage.until(lambda: place(stage) == ("src/review/pane.py", 1))


async def test_results_are_handed_to_the_agent_and_a_wrong_expression_is_told(root: Path) -> None:
    async with Stage(root).run() as stage:
        await stage.press("ctrl+s", "ctrl+r", *"(")
        await settled(stage, FindText)
        said = stage.app.screen.query_one("#find-nothing", Static)
        assert "unclosed" in str(said.content) and said.display
        await stage.press("backspace", "ctrl+r", *"nowhere at all")
        assert not await settled(stage, FindText)
        assert str(said.content) == "No line has this." and said.display
        await stage.press("ctrl+u", *"return 1")
        assert await settled(stage, FindText)
        await stage.press("ctrl+g")
        assert stage.app.screen is stage.screen
        assert "src/other.py:2: return 1" in stage.screen.agent.prompt.text
        await stage.press(*"Why?")
        assert stage.screen.agent.prompt.text.startswith("Why?")


async def test_what_is_still_looked_for_when_one_leaves_has_no_place_to_be_shown(root: Path) -> None:
    async with Stage(root).run() as stage:
        await stage.press("ctrl+s", *"other")
        await settled(stage, FindText)
        finder = stage.app.screen
        assert isinstance(finder, FindText)
        await stage.press("escape")
        await stage.until(lambda: not finder.is_running)
        assert len(await finder.look("other")) == 4


async def test_symbols_of_the_file_and_of_all_files(root: Path) -> None:
    async with Stage(root, show_file="src/review/pane.py").run() as stage:
        await stage.until(lambda: stage.screen.viewer.path is not None)
        await stage.press("f3", "s")
        assert [row.split()[:2] for row in await settled(stage, FindSymbol)] == [
            ["class", "Sum"],
            ["function", "add"],
            ["function", "total"],
        ]
        await stage.press(*"tot", "enter")
        await stage.until(lambda: place(stage) == ("src/review/pane.py", 6))
        await stage.press("ctrl+n", *"ote")
        rows = await settled(stage, FindSymbol)
        assert [row.split()[1] for row in rows] == ["Notes"]
        await stage.press("enter")
        await stage.until(lambda: place(stage) == ("docs/notes.md", 1))


async def test_the_palette_finds_files_symbols_and_text_beside_what_can_be_done(root: Path) -> None:
    async with Stage(root, show_file="src/review/pane.py").run() as stage:
        await stage.until(lambda: stage.screen.viewer.path is not None)

        async def choose(words: str, row: str) -> list[str]:
            await stage.press("ctrl+p")
            await stage.until(lambda: isinstance(stage.app.screen, CommandPalette))
            await stage.press(*words)
            found = stage.app.screen.query_one(CommandList)
            await stage.until(lambda: found.option_count and row in str(found.options[0].prompt))
            rows = [str(found.get_option_at_index(n).prompt) for n in range(found.option_count)]
            await stage.press("enter")
            return rows

        await choose("total", "total  function in line 6")
        await stage.until(lambda: place(stage) == ("src/review/pane.py", 6))
        rows = await choose("other.py", "src/other.py  file")
        await stage.until(lambda: stage.screen.viewer.path == "src/other.py")
        assert not [row for row in rows if "\n" in row], "one row each"
        await choose("docs/notes", "docs/notes.md  file")
        await stage.until(lambda: stage.screen.viewer.path == "docs/notes.md")
        await choose("xyzzy", "Search for “xyzzy”")
        await stage.until(lambda: isinstance(stage.app.screen, FindText))
        assert stage.app.screen.query_one("#find-query", Input).value == "xyzzy"
        await stage.press("escape")
        # There is nothing to review, and no turn to stop.
        offered = {command.name for command in ActionProvider(stage.screen)._commands()}
        assert "viewer.wrap" in offered
        assert not offered & {"review.keep", "workspace.cancel", "workspace.go_on", "transcript.next"}
