"""Talking to the agent: streaming, stopping, queueing, permission."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.widgets import Input, OptionList

from app.agent.errors import MessageTooLong
from app.agent.events import (
    AgentEvent,
    FilesChanged,
    PromptProgressed,
    ReplyBroken,
    ReplyFinished,
    ReplyProgressed,
    TextStreamed,
    ThoughtStreamed,
    TodosChanged,
    ToolCallStreamed,
    ToolFinished,
    ToolStarted,
)
from app.agent.port import PermissionAnswer, PermissionRequest
from app.model.events import AdapterDescription, EngineStatus, Finished, PromptProgress, TextWasThought, Timings
from app.settings.settings import load_settings
from app.tuning.trial import load_trial, take_up
from app.ui.drawing.palette import Palette
from app.ui.drawing.themes import DARK, LIGHT
from app.ui.widgets.agent.call_item import CallItem
from app.ui.widgets.agent.permission_prompt import PermissionPrompt
from app.ui.widgets.agent.transcript_items import NoticeItem
from tests.support.review.review_cases import git
from tests.support.ui.screen import READY, ScriptedAgent, Stage

REQUEST = PermissionRequest(
    "1", "run_shell_command", {"command": "make"}, "make all", "it runs a program", "make"
)


async def replies(_agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
    yield PromptProgressed(PromptProgress(1000, 200, 500, 10))
    yield TextStreamed("I will **look**.\n\n")
    yield ToolStarted("1", "read_file", {}, "Read a.txt")
    yield ToolFinished("1", "read_file", True, "secret line", "secret line")
    yield ToolStarted("2", "edit", {}, "Edit a.txt")
    yield ToolFinished("2", "edit", False, "told the model", "No such text.\nThe nearest is:")
    yield TodosChanged((("Look", "completed"), ("Write", "in_progress")))
    yield TextStreamed("Done.")
    yield ReplyFinished(Finished("stop", 1000, 24, 200, Timings(200, 800, 9, 90, 24, 250, 96)))


async def waits(agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
    yield TextStreamed("Half a thought")
    await agent.go_on.wait()
    yield TextStreamed(" and the rest")


async def asks(agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
    assert agent.asker is not None
    answer = await agent.asker.ask(REQUEST)
    yield TextStreamed(f"{answer.answer} {answer.comment}")


async def test_what_cannot_be_sent_is_said_so_and_stands_in_the_field_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(_text: str) -> AsyncGenerator[AgentEvent, None]:
        raise MessageTooLong("the message has about 9 tokens, and the model can take 5", "save it to a file")
        yield

    async with Stage(tmp_path, replies).run() as stage:
        run_turn = stage.agent.run_turn
        monkeypatch.setattr(stage.agent, "run_turn", refuses)
        await stage.say("too long")
        await stage.until(lambda: "Nothing was sent" in stage.transcript())
        await stage.until(lambda: stage.screen.agent.prompt.text == "too long")
        assert "Stopped" not in stage.transcript() and "goes on" not in stage.transcript()
        monkeypatch.setattr(stage.agent, "run_turn", run_turn)
        await stage.press("enter")
        await stage.until(lambda: "Done." in stage.transcript())


async def test_a_turn_can_be_read_in_the_transcript(tmp_path: Path) -> None:
    async with Stage(tmp_path, replies).run() as stage:
        await stage.say("Look at it")
        await stage.until(lambda: "Done." in stage.transcript() and not stage.screen.agent.is_working)
        text = stage.transcript()
        for piece in ("Look at it", "I will look.", "Read a.txt", "96 tok/s"):
            assert piece in text
        assert "secret line" not in text
        # What went wrong is said without a key.
        assert "No such text." in text and "The nearest" not in text
        assert "Reading" not in text, "the progress of the prompt goes when the reply comes"
        status = str(stage.screen.query_one("#status").render())
        for fact in ("a-model", "ask", "ctx 1.0k/32.8k 3%", "96 tok/s", "200 cached, 800 new"):
            assert fact in status
        # The output of a call appears on a key.
        stage.screen.agent.transcript.focus()
        await stage.press("n", "enter")
        assert "secret line" in stage.transcript()


async def thinks(_agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
    yield ThoughtStreamed("The user wants\n")
    yield ThoughtStreamed("a deep secret.\n")
    yield ToolCallStreamed("1", "read_file", "{}")
    yield ToolFinished("1", "read_file", True, "x", "x")
    yield TextStreamed("Unmarked musing.\n\n")
    yield TextWasThought()
    yield TextStreamed("Done.")
    yield ReplyFinished(Finished("stop"))


async def test_a_reply_that_broke_off_is_not_run_into_the_next(tmp_path: Path) -> None:
    async def breaks(_agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
        yield TextStreamed("Half a sen")
        yield ToolCallStreamed("1", "edit", '{"file')
        yield ReplyBroken("the engine ended; the reply begins again.")
        yield TextStreamed("A whole sentence.")
        yield ReplyFinished(Finished("stop"))

    async with Stage(tmp_path, breaks).run() as stage:
        await stage.say("go")
        await stage.until(lambda: "A whole sentence." in stage.transcript())
        rows = [row.strip() for row in stage.transcript().splitlines()]
        half, whole = rows.index("Half a sen"), rows.index("A whole sentence.")
        assert "! The engine ended; the reply begins again." in rows[half:whole]
        assert [call.state for call in stage.screen.agent.transcript.calls] == ["cancelled"]


async def test_a_thought_is_folded_and_opens_on_a_key(tmp_path: Path) -> None:
    async with Stage(tmp_path, thinks).run() as stage:
        await stage.say("Look at it")
        await stage.until(lambda: "Done." in stage.transcript() and not stage.screen.agent.is_working)
        text = stage.transcript()
        assert text.count("Thought for") == 2 and "secret" not in text and "musing" not in text
        stage.screen.agent.transcript.focus()
        await stage.press("n", "enter")
        assert "a deep secret." in stage.transcript()
        await stage.press("n", "n", "enter")
        assert "Unmarked musing." in stage.transcript()


async def thinks_in_tokens(agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
    yield ThoughtStreamed("Hm.")
    yield ReplyProgressed(Timings(0, 0, 0.0, 0.0, predicted_n=480, predicted_ms=1.0, predicted_per_second=1.0))
    await agent.go_on.wait()
    agent.go_on.clear()
    yield TextStreamed("Done.")
    await agent.go_on.wait()
    yield ReplyFinished(Finished("stop", reasoning_tokens=512, thought_was_closed=True))


async def test_a_thought_has_its_tokens_as_far_as_they_are_known(tmp_path: Path) -> None:
    async with Stage(tmp_path, thinks_in_tokens).run() as stage:
        await stage.say("Look at it")
        await stage.until(lambda: "Thinking, 0 s · 480 tokens" in stage.transcript())
        stage.agent.go_on.set()
        await stage.until(lambda: "· about 480 tokens" in stage.transcript())
        stage.agent.go_on.set()
        await stage.until(lambda: "cut off at 512 tokens" in stage.transcript())


async def test_effort_is_set_for_the_session_and_shown(tmp_path: Path) -> None:
    async with Stage(tmp_path).run() as stage:
        await stage.say("/effort low")
        status = stage.screen.query_one("#status")
        await stage.until(lambda: stage.agent.effort == "low" and "effort low" in str(status.render()))
        await stage.say("/effort")
        await stage.until(lambda: stage.agent.effort == "medium")
        await stage.say("/effort much")
        await stage.until(lambda: "There is no effort 'much'" in stage.transcript())
        await stage.say("/effort default")
        await stage.until(lambda: stage.agent.effort == "default" and "effort" not in str(status.render()))


async def test_adapters_are_listed_changed_and_the_reviews_is_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    async with Stage(tmp_path).run() as stage:
        stage.engine.offered = (AdapterDescription("mine"), AdapterDescription("night", is_default=True))
        await stage.say("/adapter")
        await stage.until(lambda: "● night" in stage.transcript() and "○ mine" in stage.transcript())
        await stage.say("/adapter mine")
        await stage.until(lambda: stage.engine.adapter == "mine")
        assert load_settings().adapter == "mine"
        await stage.say("/adapter nowhere")
        await stage.until(lambda: "There is no adapter 'nowhere'" in stage.transcript())
        await stage.say("/adapter aside")
        await stage.until(lambda: "no adapter from your review is in use" in stage.transcript())
    take_up("night", "Held-out loss 2.000 → 1.000.")
    stage = Stage(tmp_path)
    stage.engine.adapter = "night"
    async with stage.run():
        # Told once, where the key is named that puts it aside.
        await stage.until(lambda: "→ 1.000. The key & puts it aside" in " ".join(stage.transcript().split()))
        await stage.press("f2", "ampersand")
        await stage.until(lambda: "night is put aside" in stage.transcript())
        assert stage.engine.adapter == load_settings().adapter == "mine"
    assert load_trial().news == ""


async def test_escape_stops_the_turn_and_keeps_what_was_said(tmp_path: Path) -> None:
    async with Stage(tmp_path, waits).run() as stage:
        await stage.say("Think")
        await stage.until(lambda: "Half a thought" in stage.transcript())
        await stage.press("escape")
        await stage.until(lambda: not stage.screen.agent.is_working)
        assert stage.agent.was_cancelled
        await stage.until(lambda: "Stopped" in stage.transcript())
        assert "Half a thought" in stage.transcript()
        stage.agent.go_on.set()
        await stage.press("f10")
        await stage.until(lambda: "and the rest" in stage.transcript())


async def test_messages_wait_for_the_turn_and_come_back_when_it_is_stopped(tmp_path: Path) -> None:
    async with Stage(tmp_path, waits).run() as stage:
        await stage.say("first")
        await stage.until(lambda: stage.screen.agent.is_working)
        await stage.say("second")
        await stage.say("third")
        assert "second" in str(stage.screen.query_one("#queued").render())
        stage.agent.go_on.set()
        await stage.until(lambda: stage.agent.heard == ["first", "second", "third"])
        await stage.until(lambda: not stage.screen.agent.is_working)
        stage.agent.go_on.clear()
        await stage.say("fourth")
        await stage.until(lambda: stage.screen.agent.is_working)
        await stage.say("fifth")
        await stage.press("escape")
        await stage.until(lambda: stage.screen.agent.prompt.text == "fifth")
        assert "fifth" not in stage.agent.heard


async def test_a_key_typed_for_something_else_never_approves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PermissionPrompt, "grace", 3600.0)
    async with Stage(tmp_path, asks).run() as stage:
        await stage.say("Build it")
        await stage.until(lambda: stage.screen.agent.permission.has_focus)
        await stage.press("y", "a", "space", "enter", "n")
        assert stage.screen.agent.permission.is_asking
        await stage.until(lambda: stage.screen.agent.prompt.text == "ya n", "the letters in the message")
        assert "asks you" in stage.transcript()
        # The question is still whole, and stopping the turn is always possible.
        assert "make all" in stage.screen.query_one("#permission-summary").render_line(0).text
        await stage.press("escape")
        await stage.until(lambda: not stage.screen.agent.is_working)
        assert not stage.screen.agent.permission.display


async def test_permission_is_answered_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PermissionPrompt, "grace", 0.0)
    answers = {
        ("y",): PermissionAnswer("once"),
        ("a",): PermissionAnswer("always"),
        ("n",): PermissionAnswer("deny"),
        ("c", *"tox", "enter"): PermissionAnswer("deny", "tox"),
        ("c", "escape", "y"): PermissionAnswer("once"),
    }
    async with Stage(tmp_path, asks).run() as stage:
        for keys, answer in answers.items():
            await stage.say("Build it")
            await stage.until(lambda: stage.screen.agent.permission.has_focus)
            await stage.press(*keys)
            await stage.until(lambda: not stage.screen.agent.is_working)
            said = f"{answer.answer} {answer.comment}".strip()
            await stage.until(lambda said=said: stage.transcript().strip().endswith(said), said)
            assert stage.screen.focused is stage.screen.agent.prompt


async def test_a_question_does_not_take_the_focus_from_the_review(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PermissionPrompt, "grace", 0.0)

    async def works_then_asks(agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
        await agent.go_on.wait()
        async for event in asks(agent):
            yield event

    (tmp_path / "a.txt").write_text("x\n")
    async with Stage(tmp_path, works_then_asks, show_file="a.txt").run() as stage:
        await stage.say("Build it")
        await stage.until(lambda: stage.screen.viewer.path == "a.txt")
        await stage.press("f3")
        focused = stage.screen.focused
        stage.agent.go_on.set()
        await stage.until(lambda: stage.screen.agent.permission.is_asking)
        await stage.press("y")
        assert stage.screen.focused is focused
        assert "asks you" in str(stage.screen.query_one("#status").render())
        assert "asks you" in stage.screen.query_one("#agent-pane")._border_title.plain
        # What the user looks at is not covered before they go to the agent.
        assert stage.screen.agent.permission.is_asking and not stage.screen.agent.permission.display
        await stage.press("f5")
        await stage.until(lambda: stage.screen.agent.permission.display)
        await stage.press("f3")
        await stage.until(lambda: not stage.screen.agent.permission.display)
        await stage.press("f5", "y")
        await stage.until(lambda: "once" in stage.transcript())
        assert "asks you" not in str(stage.screen.query_one("#status").render())


async def test_changed_files_bring_the_review_to_the_centre(tmp_path: Path) -> None:
    async def changes(_agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
        yield FilesChanged(("a.txt",))

    async with Stage(tmp_path, changes).run() as stage:
        assert stage.screen.switcher.current == "viewer"
        await stage.say("Change it")
        await stage.until(lambda: stage.screen.switcher.current == "review")
        assert stage.screen.focused is stage.screen.agent.prompt


async def test_the_first_frame_comes_before_the_engine_and_its_death_is_told(tmp_path: Path) -> None:
    async with Stage(tmp_path, status=EngineStatus("starting", "Starting the engine")).run() as stage:
        assert "sk, or say what to change" in stage.app.export_screenshot().replace("&#160;", " ")
        stage.engine.become(EngineStatus("loading", "Loading a-model", 0.42))
        await stage.pilot.pause()
        assert "42%" in str(stage.screen.query_one("#status").render())
        stage.engine.become(READY)
        await stage.pilot.pause()
        assert not stage.screen.query_one("#engine-banner").display
        stage.engine.become(EngineStatus("failed", "The engine was killed"))
        await stage.pilot.pause()
        assert "The engine was killed" in str(stage.screen.query_one("#engine-banner").render())
        await stage.press("f8")
        await stage.until(lambda: stage.engine.restarts == 1)
    assert stage.engine.is_closed
    assert stage.agent.is_closed


async def test_without_a_model_a_page_says_what_fits_and_takes_an_address(tmp_path: Path) -> None:
    status = EngineStatus("absent", "No model was found: no model in the settings.")
    stage = Stage(tmp_path, status=status)
    async with stage.run():
        await stage.until(lambda: stage.app.screen is not stage.screen)
        page = stage.app.screen
        await stage.until(lambda: page.query_one("#model-choices", OptionList).option_count)
        facts = str(page.query_one("#model-facts").render())
        assert "No model in the settings" in facts
        assert "GB of memory" in facts
        options = page.query_one("#model-choices", OptionList)
        listed = "\n".join(str(options.get_option_at_index(n).prompt) for n in range(options.option_count))
        assert "4-bit 44.8 GB" in listed
        assert "8-bit 84.7 GB" in listed
        page.query_one("#model-address").focus()
        await stage.press(*"nonsense", "enter")
        await stage.until(lambda: "nonsense" in str(page.query_one("#model-message").render()))
        page.query_one("#model-address", Input).value = "http://127.0.0.1:9/v1"
        await stage.press("enter")
        await stage.pilot.pause()
    assert stage.app.return_value == "http://127.0.0.1:9/v1"


async def test_leaving_while_the_agent_works_asks_first(tmp_path: Path) -> None:
    stage = Stage(tmp_path, waits)
    async with stage.run():
        await stage.say("Think")
        await stage.until(lambda: stage.screen.agent.is_working)
        await stage.press("ctrl+q")
        await stage.until(lambda: stage.app.screen is not stage.screen)
        await stage.press("n")
        assert stage.app.is_running
        assert stage.screen.agent.is_working
        await stage.press("ctrl+q", "y")
        await stage.until(lambda: not stage.app.is_running or stage.app._exit)


async def test_at_rest_nothing_ticks(tmp_path: Path) -> None:
    async with Stage(tmp_path, replies).run() as stage:
        await stage.say("Look")
        await stage.until(lambda: "tok/s" in stage.transcript() and not stage.screen.agent.is_working)
        await stage.until(
            lambda: (
                not any(
                    timer._active.is_set() and timer._task is not None and not timer._task.done()
                    for widget in [stage.app, stage.screen, *stage.screen.query("*")]
                    for timer in widget._timers
                )
            ),
            "a screen without a timer",
        )


@given(st.text(alphabet="ab =漢", min_size=1, max_size=150), st.integers(14, 60))
def test_a_closed_call_shows_the_start_of_its_command_on_three_rows_at_most(said: str, width: int) -> None:
    palette = Palette.from_variables(DARK.to_color_system().generate())
    command = f"$ {said}"
    rows = [
        "".join(s.text for s in strip) for strip in CallItem("1", "x", command, "ok").render(width, palette)
    ]
    assert all(cell_len(row) == width for row in rows)
    assert len(rows) <= 3
    shown = "".join(row[2:] for row in rows).replace(" ", "")
    whole = command.replace(" ", "")
    assert shown == whole or (len(rows) == 3 and whole.startswith(shown.removesuffix("…")))


async def test_without_git_the_status_line_says_so(tmp_path: Path) -> None:
    async with Stage(tmp_path).run() as stage:
        await stage.until(lambda: "no git" in str(stage.screen.query_one("#status").render()))


async def test_a_merge_is_told_beside_the_branch_and_not_as_a_part_of_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "one")
    (tmp_path / ".git" / "MERGE_HEAD").write_text("")
    async with Stage(tmp_path).run() as stage:
        await stage.until(lambda: "⎇ main · in a merge  " in str(stage.screen.query_one("#status").render()))


@pytest.mark.parametrize("size", [(120, 40), (100, 30), (80, 24), (44, 10)])
async def test_every_answer_is_in_view_however_long_the_question(size: tuple[int, int], tmp_path: Path) -> None:
    diff = "@@ -1,0 +1,30 @@\n" + "\n".join(f"+line {number}" for number in range(30))

    async def asks_much(agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
        assert agent.asker is not None
        given = {"file_path": "a/b.py"}
        await agent.asker.ask(PermissionRequest("1", "edit", given, f"Edit a/b.py\n{diff}", "why", "edit all"))
        yield TextStreamed("Done.")

    async with Stage(tmp_path, asks_much).run(size=size) as stage:
        await stage.say("Go")
        prompt = stage.screen.agent.permission
        await stage.until(lambda: prompt.is_asking and prompt.query_one("#permission-options").region.height)
        for answer in ("#permission-options", "#permission-comment"):
            shown = prompt.query_one(answer).region
            assert prompt.region.contains_region(shown)
            assert stage.screen.region.contains_region(prompt.region)
            # Where there is room, it leaves the conversation to be read, and the message to be written.
            assert size[0] < 120 or not prompt.region.overlaps(stage.screen.agent.region)
            title = prompt.query_one("#permission-title").render_line(0).text
            assert "The agent wants to edit a/b.py" in title
            await stage.until(lambda: prompt.is_armed)
            await stage.press("down")
            await stage.until(lambda: prompt.query_one("#permission-diff").scroll_offset.y > 0)
            await stage.press("c")
            await stage.until(lambda: prompt.query_one("#permission-comment").region.height)
        await stage.press("enter")
        await stage.until(lambda: "Done." in stage.transcript())


def test_what_was_drawn_for_another_theme_is_drawn_again() -> None:
    item = NoticeItem("a sentence")
    for theme in (DARK, LIGHT) * 4:
        palette = Palette.from_variables(theme.to_color_system().generate())
        color = item.strips(40, palette)[0]._segments[0].style
        assert color == palette.text + palette.muted
        del palette
