"""A Mac stays awake during a turn, and sleeps after it; nothing is started elsewhere."""

import sys
from pathlib import Path

import pytest

from app.agent import awake
from app.agent.awake import awake_command, kept_awake


def test_only_a_mac_is_told() -> None:
    assert awake_command("darwin", 42) == ["/usr/bin/caffeinate", "-i", "-w", "42"]
    assert awake_command("linux", 42) == []


async def test_what_keeps_it_awake_ends_with_the_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = tmp_path / "begun"
    program = f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep(1000)"
    monkeypatch.setattr(awake, "awake_command", lambda *_: [sys.executable, "-c", program])
    async with kept_awake(True):
        pass  # leaving waits for its end: the test ends, so it did
    async with kept_awake(False):
        pass
    monkeypatch.setattr(awake, "awake_command", lambda *_: ["/no/such/program"])
    async with kept_awake(True):
        begun.touch()
    assert begun.exists()
