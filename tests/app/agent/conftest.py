"""Fixtures for the agent's tests."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from app.settings.settings import Mode
from tests.support.agent.agent_bench import Bench
from tests.support.agent.scripted_server import Script, ScriptedServer


@pytest.fixture
async def bench(
    tmp_path: Path, scripted_server: Callable[..., ScriptedServer]
) -> AsyncIterator[Callable[..., Bench]]:
    """Make agents in tmp_path/project, which begins with a few files."""
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").write_bytes(b"def f():\r\n    return 1\r\n")
    (root / "notes.md").write_text("one\ntwo\nthree\n")
    (tmp_path / "outside.txt").write_text("private\n")
    async with AsyncExitStack() as stack:

        def make(*script: Script, mode: Mode = "auto", context_length: int | None = None) -> Bench:
            made = Bench(root, scripted_server(*script), mode, context_length)
            stack.push_async_callback(made.close)
            return made

        yield make
