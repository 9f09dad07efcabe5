"""The same diff in textual-diff-view, where that is installed: one of its widgets for each file.

Run as a program with a repository's directory, so that it can be stopped: it prints seconds as JSON.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from textual.app import App, ComposeResult
from textual.containers import VerticalScroll

_SIZE = (160, 48)
_PAGES = 10
"""Page downs in a round."""


def is_installed() -> bool:
    """Whether there is a textual-diff-view to compare with."""
    return find_spec("textual_diff_view") is not None


def measure(root: Path, patience: float) -> dict[str, float] | None:
    """Seconds until its first screen is shown ("opened") and for a page down ("paged"), and mounted "widgets";
    None where it did not finish within `patience` seconds."""
    command = [sys.executable, "-P", "-m", __name__, str(root)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=True)
    except subprocess.TimeoutExpired:
        return None
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


class _Beside(App[None]):
    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root

    def compose(self) -> ComposeResult:
        kind: Any = import_module("textual_diff_view").DiffView
        with VerticalScroll(can_focus=True):
            for path in _git(self._root, "diff", "--name-only", "-z").split("\0")[:-1]:
                before = _git(self._root, "show", f":{path}")
                after = (self._root / path).read_text(encoding="utf-8")
                yield kind(path, path, before, after, split=True)


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout


async def _run(root: Path) -> None:
    start = time.perf_counter()
    app = _Beside(root)
    # run_test goes on when all is mounted and the application has nothing left to do.
    async with app.run_test(size=_SIZE) as pilot:
        opened = time.perf_counter() - start
        app.query_one(VerticalScroll).focus()
        spent: list[float] = []
        for _ in range(_PAGES):
            before = time.perf_counter()
            await pilot.press("pagedown")
            spent.append(time.perf_counter() - before)
        widgets = len(list(app.screen.walk_children()))
        print(json.dumps({"opened": opened, "paged": statistics.median(spent), "widgets": widgets}))


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1])))
