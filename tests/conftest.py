"""What every test stands on: a home of its own, never the user's."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.agent.scripted_server import Script, ScriptedServer

# A busy machine is slow, not wrong; and a change is judged by the examples that the last one was judged by.
# `make slow` looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("new", deadline=None)
settings.load_profile("same")

# MLX's own BLAS, whose sums do not depend on how many rows are multiplied at once: on that rest the tests that
# hold drafted and plain tokens, or restored and cold states, equal to the last bit.
os.environ["TIDEGATE_BLAS"] = "reference"
# The suite runs in as many processes as there are cores; threads within them would only wait for each other.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

NEEDS_A_MAC = "needs a Mac"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if sys.platform != "darwin":
        for item in items:
            if item.get_closest_marker("mac"):
                item.add_marker(pytest.mark.skip(reason=NEEDS_A_MAC))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", ())
    count = sum(NEEDS_A_MAC in str(report.longrepr) for report in skipped)
    if count:
        terminalreporter.write_line(f"{count} tests need a Mac and were not run here")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh TIDEGATE_HOME, with a short path: a Unix socket's may have at most 104 bytes on macOS.

    What a command run within this process sets in the environment is gone with the test.
    """
    directory = Path(tempfile.mkdtemp(prefix="tide"))
    monkeypatch.setenv("TIDEGATE_HOME", str(directory))
    monkeypatch.delenv("TIDEGATE_MODEL", raising=False)
    # The engine's command line sets it, also where a fixture of several tests runs it in this process.
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    # Colours are those of one terminal, whichever the tests are started from.
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    before = dict(os.environ)
    yield directory
    os.environ.clear()
    os.environ.update(before)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def scripted_server() -> Iterator[Callable[..., ScriptedServer]]:
    """Start scripted Chat Completions servers, on TCP unless `socket=` says otherwise; stopped afterwards."""
    with ExitStack() as stack:

        def start(*script: Script, socket: Path | None = None, api_key: str | None = None) -> ScriptedServer:
            return stack.enter_context(ScriptedServer(script, socket=socket, api_key=api_key))

        yield start
