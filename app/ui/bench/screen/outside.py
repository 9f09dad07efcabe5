"""What a program does and costs on a terminal: at its start, at rest, with a reply, with other sizes."""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from app.ui.bench.screen.programs import Program, environment
from app.ui.bench.screen.server import LONG, StreamServer
from app.ui.bench.screen.terminal import BenchTerminal

SIZE = (120, 40)
TYPED = "zq"
UNECHOED = "π"
"""Typed behind it. Our first frame shows no such character: where it is seen, the program itself draws."""
_PATIENCE = 30.0  # seconds that anything is waited for
_AGAIN = 3.0
"""Seconds after which keys that were typed at the start are typed again: some programs throw them away."""
_SETTLES = 3.0  # seconds after the start that do not count as rest
_REST = 10.0  # seconds of rest that are measured
_STREAM = 5.0  # seconds of a reply that are measured
_QUIET = 1.0  # seconds without output after which a program is done
_SIZES = ((100, 30), (140, 45))
_STORM = 40  # changes of size
_GUST = 0.02  # seconds between two of them

Measures = dict[str, float | None]


def bare_import() -> float:
    """Seconds that Python and Textual take by themselves."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-P", "-c", "import textual"], check=True)
    return time.perf_counter() - began


def starts(programs: Sequence[Program], root: Path, rounds: int) -> dict[str, Measures]:
    """By program the medians of `rounds` starts, each beside a bare import; seconds, and how many imports."""
    for program in programs:
        # It is compiled, and looks as it will when it begins the next time, which ours keeps a picture of.
        with BenchTerminal(program.command, root, environment(program), SIZE) as terminal:
            terminal.until(lambda text: bool(text.strip()), _PATIENCE)
            terminal.settle(_SETTLES, _PATIENCE)
    bare: list[float] = []
    found: dict[str, list[Measures]] = {program.name: [] for program in programs}
    for _ in range(rounds):
        bare.append(bare_import())
        for program in programs:
            found[program.name].append(_start(program, root))
    beside = statistics.median(bare)
    result: dict[str, Measures] = {}
    for name, runs in found.items():
        medians = {key: _median([run[key] for run in runs]) for key in runs[0]}
        typed = medians["typed text visible, s"]
        drawn = medians["typed text drawn by the program itself, s"]
        medians["typed text visible, × import textual"] = None if typed is None else typed / beside
        medians["drawn by the program itself, × import textual"] = None if drawn is None else drawn / beside
        result[name] = medians
    return result


def _start(program: Program, root: Path) -> Measures:
    with BenchTerminal(program.command, root, environment(program), SIZE) as terminal:
        terminal.send(TYPED + UNECHOED)
        painted = terminal.until(lambda text: bool(text.strip()), _PATIENCE)
        typed = _typed(terminal, TYPED)
        drawn = _typed(terminal, TYPED + UNECHOED)
    return {
        "first paint, s": painted,
        "typed text visible, s": typed,
        "typed text drawn by the program itself, s": drawn,
    }


def _typed(terminal: BenchTerminal, text: str) -> float | None:
    if text in terminal.text:
        return terminal.read_at
    seen = terminal.until(lambda shown: text in shown, _AGAIN)
    if seen is None:
        terminal.send(TYPED + UNECHOED)
        seen = terminal.until(lambda shown: text in shown, _PATIENCE)
    return seen


def costs(program: Program, root: Path, server: StreamServer, messages: int) -> Measures:
    """What it costs at rest, while a reply streams, when the window changes size, and after so many messages,
    half of them the user's."""
    with BenchTerminal(program.command, root, environment(program), SIZE) as terminal:
        terminal.until(lambda text: bool(text.strip()), _PATIENCE)
        terminal.settle(_SETTLES, _PATIENCE)
        found: Measures = {}
        before = terminal.usage()
        terminal.watch(_REST)
        found["CPU at rest, ms/s"] = 1000 * (terminal.usage().cpu - before.cpu) / _REST
        found["memory at the start, MB"] = before.resident / 1e6
        found |= _streaming(terminal, server)
        found |= _resized(terminal)
        answered = server.answered
        for number in range(messages // 2):
            terminal.send(f"m{number}\r")
            deadline = time.perf_counter() + _PATIENCE
            while server.answered <= answered + number and time.perf_counter() < deadline:
                terminal.watch(0.01)
            if server.answered <= answered + number:
                return found  # it does not converse
            terminal.settle(0.05, _PATIENCE)
        terminal.settle(_QUIET, _PATIENCE)
        found[f"memory after {messages:,} messages, MB"] = terminal.usage().resident / 1e6
        return found


def _streaming(terminal: BenchTerminal, server: StreamServer) -> Measures:
    terminal.send(LONG)
    terminal.settle(0.2, _PATIENCE)
    terminal.send("\r")
    deadline = time.perf_counter() + _PATIENCE
    while not server.sent:
        terminal.watch(0.05)
        if time.perf_counter() > deadline:
            return {"CPU while 200 tokens/s stream, % of a core": None}
    terminal.watch(_GUST)
    began, before, sent = time.perf_counter(), terminal.usage(), server.sent
    terminal.watch(_STREAM)
    spent = time.perf_counter() - began
    used, arrived = terminal.usage().cpu - before.cpu, server.sent - sent
    terminal.settle(2 * _QUIET, _PATIENCE)
    return {
        "CPU while 200 tokens/s stream, % of a core": 100 * used / spent,
        "tokens that came, a second": arrived / spent,
    }


def _resized(terminal: BenchTerminal) -> Measures:
    before = terminal.usage()
    for number in range(_STORM):
        terminal.resize(*_SIZES[number % 2])
        terminal.watch(_GUST)
    began = terminal.now
    terminal.resize(*SIZE)
    terminal.until(lambda _: True, _PATIENCE)
    settled = terminal.settle(_QUIET, _PATIENCE)
    return {
        "CPU of a change of size, ms": 1000 * (terminal.usage().cpu - before.cpu) / (_STORM + 1),
        "painted after 41 changes of size, s": max(0.0, settled - began),
    }


def _median(values: Sequence[float | None]) -> float | None:
    seen = [value for value in values if value is not None]
    return statistics.median(seen) if len(seen) == len(values) else None
