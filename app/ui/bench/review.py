"""`tidegate bench review`: how long a large diff takes to come up and to be moved through, as ratios to git."""

import argparse
import asyncio
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Sequence
from fcntl import ioctl
from pathlib import Path

from textual.message import Message

from app.errors import TidegateError
from app.review.desks.source_desk import SourceDesk
from app.review.desks.sources import WORK_TREE, Sources
from app.review.review import Review
from app.ui.bench.beside import is_installed, measure
from app.ui.panes.review.pane import ReviewPane
from app.ui.review_app import ReviewApp

_SIZE = (160, 48)
_ROUNDS = 5  # runs of each measurement
_PATIENCE = 300.0  # seconds that another program is waited for
_HUNK_LINES = 20  # changed lines a hunk, half of them removed


class BenchError(TidegateError):
    """The bench cannot run as it was asked to."""


def run(given: Sequence[str]) -> int:
    """Run the bench and print its table; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="tidegate bench review", description="A diff made for the purpose, against git diff itself."
    )
    parser.add_argument("--lines", type=int, default=100_000, help="changed lines in all (default: 100,000)")
    parser.add_argument("--files", type=int, default=300, help="files that they are in (default: 300)")
    parser.add_argument(
        "--beside", action="store_true", help="the same diff in textual-diff-view too, where that is installed"
    )
    options = parser.parse_args(given)
    if options.beside and not is_installed():
        raise BenchError(
            "textual-diff-view is not installed here", "pip install textual-diff-view, or leave out --beside"
        )
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as directory:
        top = Path(directory)
        os.environ["TIDEGATE_HOME"] = str(top / "home")
        # Programs are compiled once, as where they are installed, whatever is set here.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(top / "compiled")
        large, small = top / "large", top / "small"
        _make(large, options.lines, options.files)
        _make(small, max(1000, options.lines // 100), max(1, options.files // 100))
        git = _median(lambda: _time(lambda: _git_diff(large)))
        print(f"git diff of {options.lines:,} changed lines in {options.files:,} files: {git:.3f} s")
        rounds = [asyncio.run(_inside(large)) for _ in range(_ROUNDS)]
        here = statistics.median(opened for opened, _, _ in rounds)
        _, moves, widgets = rounds[-1]
        _, small_moves, small_widgets = asyncio.run(_inside(small))
        print(f"from the action to its first screen, in a process that runs: {_ratio(here, git)}")
        opened = _median(lambda: _first_screen(large))
        bare = _median(lambda: _time(_bare))
        print(f"from the command to its first screen: {_ratio(opened, git)}")
        print(f"    of which Python and Textual by themselves: {_ratio(bare, git)}")
        for name, seconds in moves.items():
            ratio = seconds / small_moves[name]
            print(f"{name}: {1000 * seconds:.1f} ms, {ratio:.2f} × that of a diff a hundredth as long")
        print(f"mounted widgets: {widgets} with the large diff, {small_widgets} with the small one")
        if options.beside:
            _print_beside("a hundredth as long", small)
            _print_beside("the same", large)
    return 0


def _ratio(seconds: float, git: float) -> str:
    return f"{seconds:.3f} s, {seconds / git:.1f} × git diff"


def _print_beside(which: str, root: Path) -> None:
    found = measure(root, _PATIENCE)
    if found is None:
        print(f"textual-diff-view, {which}: not finished in {_PATIENCE:.0f} s")
        return
    print(
        f"textual-diff-view, {which}: first screen {found['opened']:.2f} s, a page down "
        f"{1000 * found['paged']:.1f} ms, {found['widgets']:.0f} mounted widgets"
    )


def _make(root: Path, lines: int, files: int) -> None:
    """A repository with a work tree that differs from its commit by about `lines` lines."""
    root.mkdir()
    hunks = max(1, lines // files // _HUNK_LINES)
    for version in (0, 1):
        for number in range(files):
            text: list[str] = []
            for hunk in range(hunks):
                text += [f"    unchanged_{hunk}_{n} = compute({n}, 'text')\n" for n in range(12)]
                text += [
                    f"    value_{hunk}_{n} = transform({version + n}, name_{version})\n"
                    for n in range(_HUNK_LINES // 2)
                ]
            path = root / f"package{number % 10}" / f"module{number}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text("".join(text))
        if not version:
            for command in (
                ["init", "--quiet"],
                ["add", "-A"],
                ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "--quiet", "-m", "x"],
            ):
                subprocess.run(["git", *command], cwd=root, check=True)


def _git_diff(root: Path) -> None:
    subprocess.run(["git", "diff"], cwd=root, stdout=subprocess.DEVNULL, check=True)


def _bare() -> None:
    subprocess.run([sys.executable, "-P", "-c", "import textual.app"], check=True)


def _time(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _median(measure: Callable[[], float]) -> float:
    measure()
    return statistics.median(measure() for _ in range(_ROUNDS))


def _first_screen(root: Path) -> float:
    """Seconds from the command to the first hunk on a terminal."""
    start = time.perf_counter()
    child, terminal = pty.fork()
    if not child:
        os.chdir(root)
        os.environ.setdefault("TERM", "xterm-256color")
        os.execv(sys.executable, [sys.executable, "-P", "-m", "app.cli", "review"])
    try:
        ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", _SIZE[1], _SIZE[0], 0, 0))
        seen = b""
        while b"value_0_0" not in seen:
            ready, _, _ = select.select([terminal], [], [], 60)
            if not ready:
                raise TimeoutError("the review did not open within a minute")
            seen += os.read(terminal, 65536)
        return time.perf_counter() - start
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(terminal)


async def _inside(root: Path) -> tuple[float, dict[str, float], int]:
    """Seconds to the first screen in this process, seconds a movement by its name, and mounted widgets."""
    review = Review(root)
    start = time.perf_counter()
    app = ReviewApp(review, [SourceDesk(WORK_TREE, Sources(root, review), review)], root)
    shown = asyncio.Event()

    def heard(message: Message) -> None:
        if isinstance(message, ReviewPane.Counted):
            shown.set()

    async with app.run_test(size=_SIZE, message_hook=heard) as pilot:
        view = app.review_screen.review.view
        await shown.wait()
        for row in range(_SIZE[1]):
            view.render_line(row)
        opened = time.perf_counter() - start
        moves: dict[str, float] = {}
        for name, key in (("a page down", "pagedown"), ("a line down", "j"), ("to the next hunk", "n")):
            spent: list[float] = []
            for _ in range(30):
                before = time.perf_counter()
                await pilot.press(key)
                for row in range(view.size.height):
                    view.render_line(row)
                spent.append(time.perf_counter() - before)
            moves[name] = statistics.median(spent)
        return opened, moves, len(list(app.screen.walk_children()))
