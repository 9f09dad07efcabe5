"""What a screen's first frame does not wait for."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import LONGEST
from tests.support.review.review_cases import git

# Each takes about as long to import as a frame takes to draw, and is needed only later, or by few.
_LATE = [
    "anyio",
    "app.agent.agent",
    "app.agent.mcp.servers",
    "app.agent.session.records",
    "app.review.commit",
    "app.review.review",
    "app.ui.drawing.markdown",
    "app.ui.dialogs.commit",
    "app.ui.dialogs.help",
    "app.ui.screens.model",
    "git",
    "httpx2",
    "huggingface_hub",
    "markdown_it",
    "importlib.metadata",
    "mcp",
    "pathspec",
    "pydantic",
    "rich.markdown",
    "tomlkit",
    "watchfiles",
]
_NOT_IN_A_REVIEW = [
    "app.agent",
    "app.model.wire.client",
    "app.workspace.workspace",
    "textual.widgets._text_area",
    "tree_sitter",
]


def loaded(program: str, wanted: list[str], where: Path) -> list[str]:
    """Which of the `wanted` modules a program has loaded at its end."""
    told = f"import os, sys\n{program}\nprint(*[name for name in {wanted!r} if name in sys.modules])"
    command = [sys.executable, "-c", told]
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=True, timeout=LONGEST)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("screen", "late"),
    [("app.ui.app", _LATE), ("app.commands.review, app.ui.review_app", _LATE + _NOT_IN_A_REVIEW)],
    ids=["workspace", "review"],
)
def test_a_screen_is_imported_without_what_it_needs_later(screen: str, late: list[str], tmp_path: Path) -> None:
    assert loaded(f"import app.cli, {screen}", late, tmp_path) == []


def test_the_first_frame_of_a_review_is_drawn_before_the_log_is_opened(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a.py").write_text("a = 1\n")
    program = """
from pathlib import Path
import asyncio
from app.review.desks.source_desk import SourceDesk
from app.review.late import open_late
from app.review.desks.sources import WORK_TREE, Sources
from app.ui.review_app import ReviewApp
from app.ui.diff.view import DiffView

os.environ["TIDEGATE_HOME"] = "home"
root = Path.cwd()
log = open_late(root)
desk = SourceDesk(WORK_TREE, Sources(root, log), log)
drawn = asyncio.Event()
draw = DiffView.draw_row

def first(view, row, width):
    strip = draw(view, row, width)
    if "a = 1" in strip.text and not drawn.is_set():
        drawn.set()
        print(*[name for name in %r if name in sys.modules], "drawn", flush=True)
        os._exit(0)
    return strip

DiffView.draw_row = first

async def main():
    async with ReviewApp(log, [desk], root, first=desk.changes()).run_test(size=(80, 24)) as pilot:
        await asyncio.wait_for(drawn.wait(), LONGEST)

asyncio.run(main())
""" % (_LATE + _NOT_IN_A_REVIEW)
    assert loaded(program, [], tmp_path) == ["drawn"]
