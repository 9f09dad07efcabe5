"""The panes fold by the terminal's width, and every pane can be reached by keyboard at every size."""

import os
import subprocess
import sys
import threading
from io import TextIOWrapper
from pathlib import Path
from typing import cast

import pytest
from textual import events
from textual.drivers._writer_thread import WriterThread

from app.model.events import EngineStatus
from app.settings.layout import pane_widths
from app.ui.driver import LastingFile
from tests.support.patience import LONGEST
from tests.support.ui.screen import Stage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "tide.py").write_text("def tide():\n    return 1\n")
    (tmp_path / "README.md").write_text("# Tide\n")
    return tmp_path


async def test_panes_fold_with_the_width(root: Path) -> None:
    every = {"tree", "centre", "agent"}
    sizes = {
        (200, 60): every,
        (140, 40): every,
        (110, 30): every,
        (80, 24): {"agent"},
        (20, 5): {"agent"},
        (4, 24): {"agent"},
    }
    async with Stage(root).run() as stage:
        for size, panes in sizes.items():
            await stage.pilot.resize_terminal(*size)
            await stage.until(lambda panes=panes: stage.shown() == panes, f"{panes} at {size}")
            await stage.pilot.pause()
            assert stage.screen.agent.prompt.region.height >= 1
            widths = [stage.screen.query_one(f"#{pane}-pane").region.width for pane in panes]
            assert sum(widths) == size[0]


async def test_a_small_terminal_shows_the_tree_on_a_key_and_hides_it_once_a_file_is_open(root: Path) -> None:
    async with Stage(root).run((80, 24)) as stage:
        await stage.press("f2")
        assert stage.shown() == {"tree", "agent"}
        await stage.until(lambda: stage.screen.files.cursor_node is not None)
        await stage.press("j", "enter")
        await stage.until(lambda: stage.screen.viewer.path == "README.md")
        assert stage.shown() == {"centre"}
        await stage.press("f5")
        assert stage.shown() == {"agent"}
        await stage.press("f4")
        assert stage.shown() == {"centre"}


async def test_letters_in_one_go_with_the_key_to_the_message_are_written_there(root: Path) -> None:
    async with Stage(root).run() as stage:
        await stage.press("f2")
        for key in ("f5", *"cde"):
            stage.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await stage.until(lambda: stage.screen.agent.prompt.text == "cde")
        assert stage.app.screen is stage.screen


async def test_a_file_without_text_takes_the_keys_from_the_tree_that_it_covers(root: Path) -> None:
    (root / "z.bin").write_bytes(bytes(9))
    async with Stage(root).run((80, 24)) as stage:
        await stage.press("f2")
        await stage.until(lambda: stage.screen.files.cursor_node is not None)
        await stage.press("G", "enter")
        await stage.until(lambda: stage.screen.viewer.path == "z.bin" and stage.screen.focused is None)
        assert "Enter open" not in str(stage.screen.hint_line.render())


async def test_a_tiny_terminal_keeps_the_message_field_whatever_happens(root: Path) -> None:
    async with Stage(root, status=EngineStatus("failed", "The engine was killed " * 9)).run((20, 5)) as stage:
        await stage.press(*"abc")
        assert stage.screen.agent.prompt.text == "abc"
        region = stage.screen.agent.prompt.region
        assert region.height > 0
        assert region.bottom <= 5


async def test_resizing_keeps_the_pane_that_is_used(root: Path) -> None:
    async with Stage(root, show_file="README.md").run((160, 40)) as stage:
        await stage.press("f3")
        await stage.pilot.resize_terminal(80, 24)
        await stage.pilot.pause()
        assert stage.shown() == {"centre"}
        await stage.pilot.resize_terminal(10, 3)
        await stage.pilot.resize_terminal(160, 40)
        await stage.pilot.pause()
        assert stage.shown() == {"tree", "centre", "agent"}


def width(stage: Stage, pane: str) -> int:
    return stage.screen.query_one(f"#{pane}-pane").region.width


@pytest.mark.parametrize(("columns", "widths"), [(120, (22, 50, 48)), (110, (16, 46, 48)), (200, (32, 98, 70))])
async def test_the_tree_gives_way_before_the_agent(
    root: Path, columns: int, widths: tuple[int, int, int]
) -> None:
    async with Stage(root).run((columns, 40)) as stage:
        assert tuple(width(stage, pane) for pane in ("tree", "centre", "agent")) == widths


async def test_panes_are_resized_by_key_and_mouse_and_that_is_kept(root: Path) -> None:
    async with Stage(root).run((160, 40)) as stage:
        tree, agent = width(stage, "tree"), width(stage, "agent")
        await stage.press("f2", "greater_than_sign", "greater_than_sign", "less_than_sign")
        await stage.until(lambda: width(stage, "tree") == tree + 4)
        border = stage.screen.query_one("#agent-pane").region.x
        await stage.pilot.mouse_down(offset=(border, 10))
        await stage.pilot.hover(offset=(border - 9, 10))
        await stage.pilot.mouse_up(offset=(border - 9, 10))
        await stage.until(lambda: width(stage, "agent") == agent + 9)
        # Nothing can be made so wide that the others are gone.
        for _ in range(40):
            await stage.press("greater_than_sign")
        assert width(stage, "centre") >= 40
        assert width(stage, "agent") == agent + 9
        wide = width(stage, "tree")
        await stage.until(lambda: pane_widths(root) == {"tree": wide, "agent": agent + 9})
    async with Stage(root).run((160, 40)) as stage:
        assert (width(stage, "tree"), width(stage, "agent")) == (wide, agent + 9)


async def test_zoom_gives_one_pane_everything_and_takes_it_back(root: Path) -> None:
    async with Stage(root).run((120, 40)) as stage:
        await stage.press("f6")
        assert stage.shown() == {"agent"}
        await stage.press("f2")
        assert stage.shown() == {"tree"}
        await stage.press("f6")
        assert stage.shown() == {"tree", "centre", "agent"}


async def test_focus_goes_round_by_keyboard(root: Path) -> None:
    async with Stage(root, show_file="README.md").run((160, 40)) as stage:
        await stage.until(lambda: stage.screen.viewer.path == "README.md")
        places = {
            "ctrl+1": stage.screen.files,
            "f3": stage.screen.viewer.query_one("#file-view"),
            "4": stage.screen.agent.prompt,
            "f2": stage.screen.files,
            "ctrl+2": stage.screen.viewer.query_one("#file-view"),
            "ctrl+3": stage.screen.agent.prompt,
        }
        for key, widget in places.items():
            await stage.press(key)
            assert stage.screen.focused is widget, key


def test_the_screen_imports_neither_mlx_nor_transformers() -> None:
    script = (
        "import sys, app.ui.app\n"
        "foreign = {'mlx', 'mlx_lm', 'mlx_model', 'transformers', 'torch'}\n"
        "sys.exit(', '.join(foreign & {name.split('.')[0] for name in sys.modules}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nobody_waits_to_write_to_a_terminal_that_was_closed() -> None:
    controller, terminal = os.openpty()
    writer = WriterThread(cast(TextIOWrapper, LastingFile(os.fdopen(terminal, "w"))))
    os.close(controller)

    def leave() -> None:
        writer.start()
        for _ in range(200):
            writer.write("a frame")
        writer.stop()

    leaving = threading.Thread(target=leave, daemon=True)
    leaving.start()
    leaving.join(LONGEST)
    assert not leaving.is_alive()
