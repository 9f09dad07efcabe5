"""What the bench of the screen measures with: a terminal, what a process used, a server with a rate."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.commands.bench import run
from app.ui.bench.screen.programs import environment, programs
from app.ui.bench.screen.server import LONG, StreamServer
from app.ui.bench.screen.terminal import BenchTerminal
from app.ui.bench.screen.usage import Usage, read_ps, read_stat, total, usage_of


def test_a_process_is_measured_with_those_below_it() -> None:
    burns = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True); input()"
    starts = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burns!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", starts], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = usage_of(process.pid)
        process.communicate(b"\n")
    # Time in the program and in the system, of two processes, each rounded down to a tick.
    assert used.cpu >= 0.5 - 4 / os.sysconf("SC_CLK_TCK")
    assert used.resident > 8 << 20  # two interpreters, of which neither has less than half of that
    with pytest.raises(ValueError, match="does not run"):
        usage_of(process.pid)


def test_both_systems_words_are_read() -> None:
    stat = "7 (a ) b) S 3 7 7 0 -1 4194304 9 8 7 6 150 50 20 5 20 0 4 0 11 1000 25 " + "0 " * 20
    assert read_stat(stat, ticks=100, page=4096).parent == 3
    assert read_stat(stat, ticks=100, page=4096).usage == Usage(2.25, 25 * 4096)
    running = read_ps("  3     1  0:01.50  100\n  7     3  1:02:03.00  200\n 9 1 2-00:00:00 5\n")
    assert total(3, running) == Usage(1.5 + 3723, 300 * 1024)
    assert running[9].usage.cpu == 2 * 86400


def test_a_terminal_tells_when_something_was_seen(tmp_path: Path) -> None:
    program = "import sys; print('\\x1b[?1049hready', flush=True); print(input()[::-1], flush=True); input()"
    command = [sys.executable, "-c", program]
    with BenchTerminal(command, tmp_path, os.environ, (40, 5)) as terminal:
        ready = terminal.until(lambda text: "ready" in text, 60)
        terminal.send("abc\n")
        seen = terminal.until(lambda text: "cba" in text, 60)
        assert ready is not None and seen is not None and 0 < ready < seen
        assert "abc" not in terminal.text
        assert terminal.usage().resident > 0
    with pytest.raises(ProcessLookupError):
        os.kill(terminal.process, 0)


async def test_the_server_keeps_its_rate() -> None:
    with StreamServer(seconds=0.5) as server:
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            f"import sys; from urllib.request import Request, urlopen\n"
            f"data = {json.dumps({'stream': True, 'messages': [{'content': LONG}]}).encode()!r}\n"
            f"print(urlopen(Request({server.url + '/chat/completions'!r}, data)).read().count(b'data: '))",
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        assert int(said) == 100 + 3 and server.sent == 100
        assert time.monotonic() - began >= 0.49


def test_neighbours_are_measured_where_they_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agents" / "bin").mkdir(parents=True)
    for name in ("vibe", "toad"):
        (tmp_path / "agents" / "bin" / name).write_text("#!/bin/sh\n")
        (tmp_path / "agents" / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    (tmp_path / "without").mkdir()
    assert [one.name for one in programs(tmp_path / "without", "http://x/v1")] == ["Tidegate"]
    monkeypatch.setenv("TIDEGATE_AGENTS", str(tmp_path / "agents"))
    monkeypatch.setenv("COLUMNS", "1")
    found = programs(tmp_path, "http://x/v1")
    assert [one.name for one in found] == ["Tidegate", "Vibe", "Toad"]
    assert 'api_base = "http://x/v1"' in (tmp_path / "vibe" / "config.toml").read_text()
    assert environment(found[1])["VIBE_HOME"] == str(tmp_path / "vibe")
    assert "COLUMNS" not in environment(found[0])


@pytest.mark.slow
def test_the_bench_measures_every_pane_and_the_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TIDEGATE_AGENTS", raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    assert run(["ui", "--rounds", "1", "--rows", "200", "2000", "--messages", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["keys"]) == ["tree", "viewer", "editor", "diff", "transcript"]
    assert all(cost["huge_cpu"] > 0 for cost in found["keys"].values())
    assert None not in found["programs"]["Tidegate"].values()
    assert "memory after 4 messages, MB" in found["programs"]["Tidegate"]
