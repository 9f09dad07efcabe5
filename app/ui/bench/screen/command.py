"""The command itself: what it measures, and its table."""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.ui.bench.screen.inside import keys_to_paint
from app.ui.bench.screen.outside import Measures, costs, starts
from app.ui.bench.screen.programs import programs
from app.ui.bench.screen.server import StreamServer

_FILES = 40  # in the repository that the programs are opened on
_SECONDS = 8.0  # of the long answer


def parser() -> argparse.ArgumentParser:
    """The options that it takes."""
    made = argparse.ArgumentParser(
        prog="tidegate bench ui",
        description="How soon the workspace shows and takes keys, how fast it answers at any size, and what it "
        "costs; beside Mistral Vibe and Toad, where vibe and toad are on PATH or in the folder that "
        "TIDEGATE_AGENTS names.",
    )
    made.add_argument("--rounds", type=int, default=5, help="starts of each program (default: 5)")
    made.add_argument(
        "--rows", type=int, nargs=2, default=(1_000, 100_000), metavar=("SMALL", "HUGE"),
        help="rows of a pane in which keys are timed (default: 1000 100000)",
    )  # fmt: skip
    made.add_argument(
        "--messages", type=int, default=2_000, help="of the conversation whose memory is told (default: 2000)"
    )
    made.add_argument("--only", choices=("keys", "programs"), help="the panes alone, or the programs alone")
    made.add_argument("--json", action="store_true", help="as JSON, seconds and bytes in full")
    return made


def run(given: Sequence[str]) -> int:
    """Run the bench and print its table; returns the exit status."""
    options = parser().parse_args(given)
    found: dict[str, Any] = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, load {os.getloadavg()[0]:.1f}",
        "date": datetime.now(UTC).date().isoformat(),
    }
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as directory:
        top = Path(directory)
        os.environ["TIDEGATE_HOME"] = str(top / "home")
        # Programs are compiled once, as where they are installed, whatever is set here.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(top / "compiled")
        if options.only != "programs":
            found["keys"] = _keys(top, options.rows)
        if options.only != "keys":
            found["programs"] = _programs(top, options.rounds, options.messages)
    print(json.dumps(found, indent=2) if options.json else "\n".join(_table(found)))
    return 0


def _keys(top: Path, sizes: Sequence[int]) -> dict[str, dict[str, float]]:
    """By place: milliseconds to paint and of CPU with few rows and with many, and how many times that is."""
    few, many = (
        asyncio.run(keys_to_paint(_made(top / f"rows{place}"), rows)) for place, rows in enumerate(sizes)
    )
    return {
        place: {
            "small": 1000 * few[place].waited,
            "huge": 1000 * many[place].waited,
            "small_cpu": 1000 * few[place].worked,
            "huge_cpu": 1000 * many[place].worked,
            "ratio_cpu": many[place].worked / few[place].worked,
        }
        for place in few
    }


def _programs(top: Path, rounds: int, messages: int) -> dict[str, Measures]:
    root = _made(top / "repository")
    for number in range(_FILES):
        (root / f"module{number}.py").write_text(f"value = {number}\n")
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    with StreamServer(_SECONDS) as server:
        here = programs(top, server.url)
        found = starts(here, root, rounds)
        for program in here:
            found[program.name] |= costs(program, root, server, messages)
    return found


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _table(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['date']}, {found['machine']}"
    if "keys" in found:
        yield ""
        yield "| a key in | small, ms | huge, ms | CPU small, ms | CPU huge, ms | times the CPU |"
        yield "| --- | ---: | ---: | ---: | ---: | ---: |"
        for place, cost in found["keys"].items():
            figures = [f"{value:.1f}" for value in cost.values()]
            yield f"| {place} | {' | '.join(figures)} |"
    if "programs" in found:
        names = list(found["programs"])
        measures = dict.fromkeys(name for one in found["programs"].values() for name in one)
        yield ""
        yield f"| | {' | '.join(names)} |"
        yield f"| --- |{' ---: |' * len(names)}"
        for measure in measures:
            figures = [_figure(found["programs"][name].get(measure)) for name in names]
            yield f"| {measure} | {' | '.join(figures)} |"


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
