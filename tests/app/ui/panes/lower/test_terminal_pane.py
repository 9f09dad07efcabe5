"""The terminal pane: a real shell, which has the keys until it is left, whose output opens files, and which
ends with the workspace."""

import os
import time
from pathlib import Path

import pytest

from app.ui.panes.lower.terminal import TerminalPane
from app.ui.widgets.file_view import FileView
from tests.support.patience import LONGEST
from tests.support.ui.screen import Stage


@pytest.fixture(autouse=True)
def plain_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shell = tmp_path / "shell"
    shell.write_text("#!/bin/sh\nPS1='> ' exec bash --norc --noprofile -i\n")
    shell.chmod(0o755)
    monkeypatch.setenv("SHELL", str(shell))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "w"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.c").write_text("one\ntwo\nthree\n")
    return root


def rows(stage: Stage) -> list[str]:
    view = stage.screen.query_one(TerminalPane).view
    return [view.row_text(row) for row in range(view.row_count)]


async def opened(stage: Stage) -> None:
    await stage.press("f2", "ctrl+backslash")
    await stage.until(
        lambda: stage.screen.query(TerminalPane) and any(row.startswith(">") for row in rows(stage))
    )


async def typed(stage: Stage, line: str) -> None:
    await stage.press(*line, "enter")


async def test_the_shell_has_all_keys_until_it_is_left(root: Path) -> None:
    async with Stage(root).run() as stage:
        await opened(stage)
        # Ctrl+P would open the palette, and F2 go to the files: here they are the shell's.
        await typed(stage, "echo $((6*7))")
        await stage.until(lambda: "42" in rows(stage))
        await stage.press("ctrl+p")
        await stage.until(lambda: rows(stage).count("> echo $((6*7))") == 2)
        await stage.press("ctrl+c", "f2")
        view = stage.screen.query_one(TerminalPane).view
        assert stage.app.screen is stage.screen and view.has_focus
        await stage.press("ctrl+backslash")
        assert not view.is_typing
        await stage.press("f2")
        assert stage.screen.files.has_focus
        # The shell goes on, and so does what was typed.
        await stage.press("ctrl+backslash")
        assert view.has_focus and view.is_typing
        await stage.press("ctrl+backslash", "ctrl+backslash")
        assert not stage.screen.lower.display


async def test_what_it_prints_opens_files_from_where_the_shell_is(root: Path) -> None:
    async with Stage(root).run() as stage:
        await opened(stage)
        await typed(stage, "cd src; echo a.c:2: error")
        await stage.until(lambda: "a.c:2: error" in rows(stage))
        await stage.press("ctrl+backslash", "p", "enter")
        view = stage.screen.viewer.query_one("#file-view", FileView)
        await stage.until(lambda: stage.screen.viewer.path == "src/a.c" and view.line_number == 2)


async def test_programs_get_the_size_the_alternate_screen_and_the_mouse(root: Path) -> None:
    (root / "program.py").write_text(
        "import os, sys, tty\n"
        "tty.setraw(0)\n"
        "sys.stdout.write('\\033[?1049h\\033[?1000h\\033[?1006h\\033[2J\\033[H')\n"
        "sys.stdout.write('%dx%d' % os.get_terminal_size())\n"
        "sys.stdout.flush()\n"
        "told = os.read(0, 100)\n"
        "sys.stdout.write('\\033[?1049l\\033[?1000l' + ascii(told) + '\\r\\n')\n"
    )
    async with Stage(root).run() as stage:
        await opened(stage)
        view = stage.screen.query_one(TerminalPane).view
        await typed(stage, "python3 program.py")
        size = f"{view.room_width}x{view.size.height}"
        await stage.until(lambda: rows(stage)[0] == size and view.terminal.is_alternate)
        await stage.pilot.click(view, offset=(4, 2))
        await stage.until(lambda: any("[<0;5;3M" in row for row in rows(stage)))
        assert any("python3 program.py" in row for row in rows(stage))  # what was there before came back
        await stage.pilot.resize_terminal(100, 30)
        await typed(stage, "stty size")
        await stage.until(lambda: f"{view.size.height} {view.room_width}" in rows(stage))


async def test_a_flood_leaves_the_workspace_alive_and_ends_by_a_key(root: Path) -> None:
    async with Stage(root).run() as stage:
        await opened(stage)
        await typed(stage, "yes 0123456789")
        view = stage.screen.query_one(TerminalPane).view
        await stage.until(lambda: len(view.terminal.history) > 2 * view.size.height)
        await stage.press("ctrl+backslash", "f5", "H")
        assert stage.screen.agent.prompt.text == "H"
        await stage.press("ctrl+backslash", "ctrl+c")
        await typed(stage, "echo done $((1+1))")
        await stage.until(lambda: "done 2" in rows(stage))
        assert len(rows(stage)) < 11_000


async def test_what_the_shell_began_ends_with_the_workspace(root: Path) -> None:
    async with Stage(root).run() as stage:
        await opened(stage)
        await typed(stage, "nohup sleep 1000 & sleep 1001 & echo $! > pid; echo $$ > shell")
        await stage.until(lambda: (root / "shell").exists() and (root / "shell").read_text().strip())
        numbers = [int((root / name).read_text()) for name in ("pid", "shell")]
    deadline = time.monotonic() + LONGEST
    while any(_runs(number) for number in numbers):
        assert time.monotonic() < deadline


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


async def test_a_shell_that_ended_is_started_again(root: Path) -> None:
    async with Stage(root).run(size=(80, 24)) as stage:
        await opened(stage)
        await typed(stage, "exit 3")
        await stage.until(lambda: any("ended with status 3; r starts another" in row for row in rows(stage)))
        await stage.press("r")
        await stage.until(lambda: stage.screen.query_one(TerminalPane).view.is_typing)
        await typed(stage, "echo again $((2+2))")
        await stage.until(lambda: "again 4" in rows(stage))


async def test_a_command_of_the_users_that_needs_a_terminal_runs_there(root: Path) -> None:
    async with Stage(root).run() as stage:
        await stage.say("!less src/a.c")
        await stage.until(lambda: stage.screen.query(TerminalPane) and "three" in rows(stage))
        view = stage.screen.query_one(TerminalPane).view
        await stage.until(lambda: view.terminal.is_alternate)
        await stage.press("q")
        await stage.until(lambda: not view.terminal.is_alternate)
        assert stage.agent.heard == []
