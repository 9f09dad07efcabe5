"""What is shown while a reply comes: how fast, what drafts do for it, and how long it has been."""

import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from textual.content import Content

from app.agent.events import AgentEvent, ReplyFinished, ReplyProgressed, TextStreamed, ToolStarted
from app.model.events import ReplyProgress
from app.model.wire.chunks import ReplyReader
from app.ui.screens import pane_titles
from app.ui.widgets.status_line import StatusLine
from mlx_model.chat.tools.reply_parts import VisibleText
from mlx_model.decode.request import GenerationCosts, GenerationFinished, SourceDrafts
from mlx_model.server.wires.chat_reply import ChatWriter, ChunkOptions
from mlx_model.server.wires.wire import Ended
from tests.support.ui.screen import ScriptedAgent, Stage

DRAFTS = (SourceDrafts("lookup", 40, 24), SourceDrafts("mtp", 10, 6))


async def streams(agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
    """A reply as the engine writes it and the client reads it, which stops half way until it may go on."""
    reader, writer = ReplyReader(), ChatWriter("model", ChunkOptions(usage=True))
    costs = GenerationCosts(0, 10, 100.0, 50, 1000.0, DRAFTS)
    text, progress = reader.feed(json.dumps(writer.part(VisibleText("Half"), costs)))
    assert isinstance(progress, ReplyProgress)
    yield TextStreamed(text.text)  # type: ignore[union-attr]
    yield ReplyProgressed(progress.timings)
    await agent.go_on.wait()
    ended = GenerationFinished(0, 10, 100.0, 100, 1000.0, reason="stop")
    reply = Ended({}, "stop", ended)
    for event in (*writer.ended(0, reply), *list(writer.ending([reply]))[:-1]):
        reader.feed(json.dumps(event.data))
    yield ReplyFinished(reader.finish())


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_speed_and_drafts_stand_in_the_status_line_while_the_reply_comes(
    size: tuple[int, int], tmp_path: Path
) -> None:
    async with Stage(tmp_path, streams).run(size=size) as stage:
        line = stage.screen.query_one(StatusLine)
        await stage.say("Go")
        # 50 tokens, 30 of them drafted: in 20 steps.
        await stage.until(
            lambda: "50 tok/s" in str(line.render()) and "lookup+mtp +1.5/step" in str(line.render())
        )
        stage.agent.go_on.set()
        await stage.until(lambda: "100 tok/s" in str(line.render()) and "step" not in str(line.render()))


async def hangs(agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
    await agent.go_on.wait()
    yield ToolStarted("1", "run_shell_command", {}, "$ make")
    agent.go_on.clear()
    await agent.go_on.wait()


async def test_a_silent_model_is_waited_for_by_the_second_and_at_rest_nothing_ticks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pane_titles, "_SILENT_AFTER", 0.5)
    async with Stage(tmp_path, hangs).run() as stage:

        def title() -> str:
            return Content.from_markup(stage.screen.query_one("#agent-pane").border_title or "").plain

        def ticking() -> bool:
            # Textual's own is paused until there is something to draw.
            return any(timer._active.is_set() and timer._repeat is None for timer in stage.screen._timers)

        assert not ticking()
        await stage.say("Go")
        await stage.until(lambda: re.search(r"waiting [1-9]\d* s", title()), "the seconds")
        assert ticking()
        # What a command takes is not the model's silence.
        stage.agent.go_on.set()
        await stage.until(lambda: "working" in title(), "work")
        await stage.until(lambda: not stage.agent.go_on.is_set())
        stage.agent.go_on.set()
        await stage.until(lambda: title() == "Agent" and not ticking())
