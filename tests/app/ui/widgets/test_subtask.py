"""A sub-task in the transcript: one call, its steps folded under it."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.agent.events import (
    AgentEvent,
    PromptProgressed,
    SubtaskReplied,
    SubtaskStep,
    ToolFinished,
    ToolStarted,
)
from app.agent.port import PermissionRequest
from app.model.events import Finished, PromptProgress
from app.ui.widgets.agent.permission_prompt import PermissionPrompt
from tests.support.ui.screen import ScriptedAgent, Stage

QUESTION = PermissionRequest("1", "read_file", {}, "Read /etc/hosts", "it is outside", is_part=True)


async def searches(agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
    assert agent.asker is not None
    yield ToolStarted("1", "task", {}, "Task: Find f")
    yield PromptProgressed(PromptProgress(1000, 900, 950, 10))
    yield SubtaskStep("1", "grep_search", {}, "Search def f")
    yield SubtaskReplied("1", Finished("tool_calls", 30_000, 10, 900))
    await agent.asker.ask(QUESTION)
    yield SubtaskStep("1", "read_file", {}, "Read a.py")
    await agent.go_on.wait()
    yield ToolFinished("1", "task", True, "Here.", "· Search def f\n· Read a.py\n\nHere.")


async def test_its_steps_are_folded_while_it_works_and_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PermissionPrompt, "grace", 0.0)
    async with Stage(tmp_path, searches).run() as stage:
        await stage.say("Find f")
        await stage.until(lambda: "Task: Find f asks you" in stage.transcript())
        assert "Reading" not in stage.transcript()
        await stage.press("y")
        await stage.until(lambda: "running" in stage.transcript())
        stage.screen.agent.transcript.focus()
        await stage.press("n", "enter")
        await stage.until(lambda: "· Read a.py" in stage.transcript())
        stage.agent.go_on.set()
        await stage.until(lambda: "Here." in stage.transcript() and not stage.screen.agent.is_working)
        assert "Read /etc/hosts" not in stage.transcript(), "the call keeps its own name"
        await stage.press("enter")
        await stage.until(lambda: "Search def f" not in stage.transcript())
        status = str(stage.screen.query_one("#status").render())
        assert "30" not in status.partition("ctx")[2], "its context is not the conversation's"
