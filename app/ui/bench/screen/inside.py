"""From a key to what it paints, without a terminal, in panes of any size."""

import asyncio
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from textual import events
from textual._compositor import CompositorUpdate
from textual.app import App
from textual.screen import Screen

from app.editing.open_file import MOST_LINES
from app.errors import TidegateError
from app.model.catalogue.catalogue import choose_model
from app.model.engine.open import open_engine
from app.review.desks.source_desk import SourceDesk
from app.review.desks.sources import WORK_TREE, Sources
from app.review.late import open_late
from app.review.review import Review
from app.settings.settings import Settings
from app.ui.app import TidegateApp, agent_in
from app.ui.panes.editor.area import EditorArea
from app.ui.ports import Ports
from app.ui.review_app import ReviewApp
from app.ui.screens.workspace import WorkspaceScreen
from app.ui.widgets.agent.transcript_items import ReplyItem, UserItem
from app.workspace.workspace import Workspace

SIZE = (120, 40)
_KEYS = 30
"""Keys that are timed in a place, of which the median counts."""
_QUIET = 0.3
"""Seconds without paint after which a screen has settled."""
_PATIENCE = 300.0
"""Seconds that a screen is waited for."""
_NOBODY = "http://127.0.0.1:9/v1"
"""A server that does not answer, for none of this asks a model."""


@dataclass(frozen=True, slots=True)
class KeyCost:
    """From a key to the paint that follows: seconds that passed, and seconds of CPU in the application's
    thread, which other work on the machine does not change."""

    waited: float
    worked: float


class _Watched:
    """Says when `app` paints. What a terminal would be sent is made, and sent nowhere."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._painted = asyncio.Event()
        self._display = app._display
        app._display = self._paint  # type: ignore[method-assign]

    def _paint(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        self._display(screen, renderable)
        update: Any = renderable
        if isinstance(update, CompositorUpdate):
            update.render_segments(self._app.console)
            self._painted.set()

    async def press(self, key: str) -> KeyCost:
        """Press `key`, and wait for the first paint after it."""
        self._painted.clear()
        began, worked = time.perf_counter(), time.thread_time()
        self._app.post_message(events.Key(key, key if len(key) == 1 else None))
        await asyncio.wait_for(self._painted.wait(), _PATIENCE)
        return KeyCost(time.perf_counter() - began, time.thread_time() - worked)

    async def settle(self, is_there: Callable[[], bool] = lambda: True) -> None:
        """Wait until `is_there`, and nothing is painted any more."""
        async with asyncio.timeout(_PATIENCE):
            while not is_there():  # noqa: ASYNC110  nobody says when rows are there
                await asyncio.sleep(0.02)
            while True:
                self._painted.clear()
                try:
                    await asyncio.wait_for(self._painted.wait(), _QUIET)
                except TimeoutError:
                    return

    async def median(self, key: str) -> KeyCost:
        """What `key` costs, again and again."""
        costs = []
        for _ in range(_KEYS):
            costs.append(await self.press(key))
            await self.settle()
        waited = statistics.median(cost.waited for cost in costs)
        return KeyCost(waited, statistics.median(cost.worked for cost in costs))


async def keys_to_paint(top: Path, rows: int) -> dict[str, KeyCost]:
    """What a key costs, by place, with so many rows there. `top` is an empty
    directory, which may be filled. Raises TidegateError where a screen does not settle."""
    measures: dict[str, Callable[[Path, int], Awaitable[KeyCost]]] = {
        "tree": _in_tree,
        "viewer": _in_viewer,
        "editor": _in_editor,
        "diff": _in_diff,
        "transcript": _in_transcript,
    }
    found = {}
    for place, measure in measures.items():
        (root := top / place).mkdir()
        try:
            found[place] = await measure(root, rows)
        except TimeoutError:
            raise TidegateError(
                f"the {place} with {rows:,} rows was not settled after {_PATIENCE:.0f} s",
                "run this when the machine has less to do",
            ) from None
    return found


@asynccontextmanager
async def _open(root: Path) -> AsyncIterator[tuple[WorkspaceScreen, _Watched]]:
    settings, workspace = Settings(), Workspace(root)
    engine, review = open_engine(choose_model(_NOBODY), settings), open_late(root)
    ports = Ports(workspace, review, engine, agent_in(workspace, engine, review, settings))
    app = TidegateApp(ports, settings=settings)
    watched = _Watched(app)
    async with app.run_test(size=SIZE):
        screen = app.workspace_screen
        assert screen is not None
        # A cursor that blinks paints by itself.
        screen.agent.prompt.cursor_blink = False
        await watched.settle()
        yield screen, watched


async def _in_tree(root: Path, rows: int) -> KeyCost:
    for number in range(rows):
        (root / f"file{number:06}.txt").touch()
    async with _open(root) as (screen, watched):
        screen.action_show_files()
        await watched.settle(lambda: screen.files.last_line > SIZE[1])
        return await watched.median("j")


def _code(root: Path, rows: int) -> str:
    lines = (f"value_{number} = step({number})  # was\n" for number in range(rows))
    (root / "module.py").write_text("".join(lines))
    return "module.py"


async def _in_viewer(root: Path, rows: int) -> KeyCost:
    name = _code(root, rows)
    async with _open(root) as (screen, watched):
        screen.open_file(name, rows // 2)
        await watched.settle(lambda: screen.viewer.path == name)
        screen.action_show_viewer()
        await watched.settle()
        return await watched.median("j")


async def _in_editor(root: Path, rows: int) -> KeyCost:
    rows = min(rows, MOST_LINES - 1)  # larger files are only looked at; lines are short enough for 2 MB
    name = _code(root, rows)
    async with _open(root) as (screen, watched):
        screen.open_file(name, rows // 2)
        await watched.settle(lambda: screen.viewer.path == name)
        screen.action_show_viewer()
        screen.viewer.action_edit()
        await watched.settle(lambda: screen.viewer.is_writing)
        screen.query_one(EditorArea).cursor_blink = False
        await watched.settle()
        cost = await watched.median("x")
        screen.viewer.editor.keeping.drop_all()
        screen.viewer.editor.is_dropped = True
        return cost


async def _in_diff(root: Path, rows: int) -> KeyCost:
    _code(root, rows)
    for command in (
        ["init", "--quiet"],
        ["add", "-A"],
        ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "--quiet", "-m", "x"],
    ):
        await asyncio.to_thread(subprocess.run, ["git", *command], cwd=root, check=True)
    path = root / "module.py"
    # Every other line, each a hunk of its own to be decided.
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line.replace("was", "is") if at % 2 else line for at, line in enumerate(lines)))
    review = Review(root)
    app = ReviewApp(review, [SourceDesk(WORK_TREE, Sources(root, review), review)], root)
    watched = _Watched(app)
    async with app.run_test(size=SIZE):
        view = app.review_screen.review.view
        await watched.settle(lambda: view.row_count > rows // 2)
        return await watched.median("j")


async def _in_transcript(root: Path, rows: int) -> KeyCost:
    async with _open(root) as (screen, watched):
        transcript = screen.agent.transcript
        for number in range(rows // 5):  # of five rows each: words, a blank, three lines of an answer
            transcript.add(UserItem(f"wish {number}"))
            answer = ReplyItem()
            answer.append("It is done.\n\nThe *second* paragraph says how.")
            transcript.add(answer)
        transcript.focus()
        await watched.settle(lambda: transcript.row_count > rows // 2)
        return await watched.median("k")
