"""Writing to the agent with help: completion, commands, shell, steering, sessions, an editor."""

import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.widgets import OptionList

from app.agent.events import (
    AgentEvent,
    Noticed,
    Steered,
    TextStreamed,
    TodosChanged,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    TurnStarted,
)
from app.agent.session.index import sessions
from app.agent.session.records import MessageAdded, TurnBegan, TurnClosed
from app.agent.session.session import new_journal
from app.model.messages import Message
from app.ui.completion import rank, token_before, with_directories
from app.ui.dialogs.sessions import SessionsScreen
from app.ui.screens.model import ModelScreen
from app.ui.screens.slash_commands import SlashCommands
from app.ui.slash import SLASH_COMMANDS, parse
from tests.support.ui.screen import ScriptedAgent, Stage


def written(root: Path, *texts: str, answer: str = "Yes.") -> str:
    """A session on disk in which the user said `texts`; its id."""
    journal = new_journal(root)
    for turn, text in enumerate(texts, 1):
        journal.append(TurnBegan(turn, text))
        journal.append(MessageAdded(Message("user", text)))
        journal.append(MessageAdded(Message("assistant", answer)))
        journal.append(TurnClosed(turn, "done", ""))
    journal.close()
    return journal.id


# Completion.


def test_what_can_be_completed() -> None:
    for line, expected in {
        "/he": ("command", 0, "he"),
        "see @": ("file", 4, ""),
        "see (@src/a": ("file", 5, "src/a"),
    }.items():
        token = token_before(line, is_first_line=True)
        assert token is not None and (token.kind, token.start, token.query) == expected
    for line in ("/help me", "a@b", "see @a.py:10", "see @a b", " /help", "/usr/bin"):
        assert token_before(line, is_first_line=True) is None
    assert token_before("/he", is_first_line=False) is None


def test_the_best_match_comes_first() -> None:
    names = with_directories(["src/app/main.py", "src/app/domain.py", "docs/mail.md", "tests/test_main.py"])
    assert rank("main", names, 9) == ["src/app/main.py", "src/app/domain.py", "tests/test_main.py"]
    assert rank("sapma", names, 2) == ["src/app/main.py", "src/app/domain.py"]
    assert rank("app/", names, 1) == ["src/app/"]
    assert rank("", names, 3) == ["docs/", "src/", "tests/"]


@given(st.text(max_size=5), st.lists(st.text(max_size=12), max_size=20))
def test_a_match_has_the_letters_in_order(query: str, names: list[str]) -> None:
    for name in rank(query, names, 50):
        rest = iter(name.casefold())
        assert all(letter in rest for letter in query.casefold())


def test_paths_and_prose_are_no_commands() -> None:
    assert parse("/mode  auto ") == ("mode", "auto")
    assert parse("/usr/bin/env is missing") is None and parse("what does / do?") is None


async def test_a_mention_is_completed_by_key(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "with space.py").write_text("x")
    (tmp_path / "src" / "plain.py").write_text("x")
    (tmp_path / "secret.log").write_text("x")
    (tmp_path / ".gitignore").write_text("*.log\n")
    async with Stage(tmp_path).run() as stage:
        prompt = stage.screen.agent.prompt
        await stage.press(*"see @pla")
        await stage.until(lambda: [one.label for one in prompt.completions.candidates] == ["src/plain.py"])
        await stage.press("tab")
        assert prompt.text == "see @src/plain.py " and not prompt.completions.is_open
        await stage.press(*"@space")
        await stage.until(lambda: prompt.completions.is_open)
        await stage.press("enter")
        assert prompt.text == 'see @src/plain.py @"src/with space.py" '
        # What is offered for what was typed before is not taken for what is there now.
        await stage.press(*"@space")
        await stage.until(lambda: prompt.completions.is_open)
        prompt.reset()
        await stage.say("/mode plan")
        await stage.until(lambda: stage.agent.mode == "plan")
        prompt.insert('see @src/plain.py @"src/with space.py" ')
        await stage.press(*"@s")
        await stage.until(lambda: len(prompt.completions.candidates) > 1)
        assert "secret.log" not in str(prompt.completions.render())
        first = prompt.completions.chosen
        await stage.press("down")
        assert prompt.completions.chosen != first
        await stage.press("escape")
        assert not prompt.completions.is_open and not stage.agent.heard
        await stage.press("enter")
        await stage.until(lambda: stage.agent.heard == ['see @src/plain.py @"src/with space.py" @s'])


async def test_commands_are_completed_own_ones_too_and_a_whole_one_is_sent(tmp_path: Path) -> None:
    async with Stage(tmp_path).run() as stage:
        stage.agent.own_commands = (("tidy", "Tidy the file up"),)
        prompt = stage.screen.agent.prompt
        await stage.press(*"/tid")
        await stage.until(lambda: "Tidy the file up" in str(prompt.completions.render()))
        await stage.press("tab", *"a.py", "enter")
        await stage.until(lambda: stage.agent.heard == ["/tidy a.py"])
        await stage.press(*"/context")
        await stage.until(lambda: prompt.completions.is_open)
        await stage.press("enter")
        await stage.until(lambda: "System prompt and tools" in " ".join(stage.transcript().split()))


# Commands.


def test_every_command_has_somebody_who_does_it() -> None:
    commands: Any = SlashCommands
    assert set(commands(None, None, None, Path(), None)._handlers) == {one.name for one in SLASH_COMMANDS}


async def test_commands_do_what_they_say(tmp_path: Path) -> None:
    async with Stage(tmp_path).run() as stage:
        await stage.say("/help")
        await stage.until(lambda: "/compact" in stage.transcript() and "!command" in stage.transcript())
        await stage.say("/mode auto")
        await stage.until(lambda: stage.agent.mode == "auto")
        await stage.say("/mode sideways")
        await stage.until(lambda: "There is no mode 'sideways'" in stage.transcript())
        await stage.say("/rename Sums")
        await stage.until(lambda: stage.agent.title == "Sums")
        await stage.say("/compact")
        await stage.until(lambda: stage.agent.was_compacted)
        await stage.say("/diff")
        await stage.until(lambda: stage.screen.switcher.current == "review")
        await stage.say("/nonsense")
        await stage.until(lambda: "There is no command /nonsense" in stage.transcript())
        await stage.say("/export")
        await stage.until(lambda: "no session" in stage.transcript())
        await stage.say("/model")
        await stage.until(lambda: isinstance(stage.app.screen, ModelScreen))
        await stage.press("escape")
        assert stage.agent.heard == []
        await stage.say("/init")
        await stage.until(lambda: stage.agent.heard and "AGENTS.md" in stage.agent.heard[0])


async def test_the_shell_escape_runs_and_shows_its_output(tmp_path: Path) -> None:
    async with Stage(tmp_path).run() as stage:
        await stage.say("!make test")
        await stage.until(lambda: "$ make test" in stage.transcript() and not stage.screen.agent.is_working)
        assert stage.agent.heard == ["$ make test"]
        await stage.press("up")
        assert stage.screen.agent.prompt.text == "!make test"


async def test_enter_tells_the_running_turn_what_waits(tmp_path: Path) -> None:
    async def waits(agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
        yield TextStreamed("Working.")
        await agent.go_on.wait()
        for text in agent.take_back()[:1]:
            yield Steered(text)
        agent.steered = ["not taken"] if len(agent.heard) == 1 else []

    async with Stage(tmp_path, waits).run() as stage:
        await stage.say("first")
        await stage.until(lambda: stage.screen.agent.is_working)
        await stage.say("rather this")
        queued = stage.screen.query_one("#queued")
        assert "queued rather this" in str(queued.render()) and "Enter again" in str(queued.render())
        await stage.press("enter")
        assert stage.agent.steered == ["rather this"]
        assert "next rather this" in str(queued.render())
        await stage.say("/new")
        await stage.until(lambda: "waits until the agent is done" in stage.transcript())
        stage.agent.go_on.set()
        await stage.until(lambda: stage.agent.heard == ["first", "not taken"])
        await stage.until(lambda: not stage.screen.agent.is_working and not queued.display)
        assert "rather this" in stage.transcript()


# Sessions.


async def test_the_last_session_is_offered_and_resumed_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    root = tmp_path / "w"
    old = written(root, "What is six by seven?", answer="Forty-two.")
    stage = Stage(root)
    stage.sessions[old] = ScriptedAgent(stage.agent.play)
    stage.sessions[old].session_id = old
    stage.sessions[old].mode = "plan"
    stage.sessions[old].past = (
        TurnStarted(1, "What is six by seven?"),
        TextStreamed("Forty-"),
        ToolStarted("1", "glob", {}, "Find *"),
        ToolFinished("1", "glob", True, "x", "x"),
        TodosChanged((("Sum up", "in_progress"),)),
        Noticed("a summary"),
        TurnEnded(1, "cancelled"),
    )
    async with stage.run():
        await stage.until(lambda: "Last session" in stage.transcript())
        assert "“What is six by seven?”. Ctrl+O or /resume" in " ".join(stage.transcript().split())
        first = stage.agent
        # What was said in earlier sessions is in the history.
        await stage.press("up")
        assert stage.screen.agent.prompt.text == "What is six by seven?"
        stage.screen.agent.prompt.reset()
        await stage.press("ctrl+o")
        await stage.until(lambda: isinstance(stage.app.screen, SessionsScreen) and stage.app.screen._found)
        await stage.press("enter")
        await stage.until(lambda: "Find *" in stage.transcript())
        assert first.is_closed and "Last session" not in stage.transcript()
        assert not stage.screen.query_one("#todos").display, "a plan goes with its turn"
        assert "plan" in str(stage.screen.query_one("#status").render())
        await stage.say("And eight?")
        await stage.until(lambda: stage.sessions[old].heard == ["And eight?"])
        await stage.until(lambda: not stage.screen.agent.is_working)
        await stage.say("/new")
        await stage.until(lambda: "Find *" not in stage.transcript() and stage.sessions[old].is_closed)


async def test_another_model_goes_on_with_the_session_in_which_something_was_said(tmp_path: Path) -> None:
    for said in ("Six by seven?", ""):
        async with Stage(tmp_path).run() as stage:
            if said:
                await stage.say(said)
                await stage.until(lambda stage=stage, said=said: said in stage.transcript())
            await stage.press("f7")
            await stage.until(lambda stage=stage: isinstance(stage.app.screen, ModelScreen))
            stage.app.screen.post_message(ModelScreen.Chosen("another"))
            await stage.until(lambda stage=stage: stage.app.return_value == "another")
            assert stage.app.session == ("session-1" if said else None)


async def test_sessions_are_searched_renamed_copied_and_exported_by_key(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    root = tmp_path / "w"
    written(root, "Apples?")
    pears = written(root, "Pears?", answer="Green `ones`.")
    stage = Stage(root)

    async with stage.run(size=(80, 24)):
        await stage.say("/resume")
        await stage.until(lambda: isinstance(stage.app.screen, SessionsScreen))
        screen = stage.app.screen
        assert isinstance(screen, SessionsScreen)
        await stage.until(lambda: len(screen._found) == 2)
        message = screen.query_one("#sessions-message")
        await stage.press("z")
        await stage.until(lambda: message.display and "No earlier session" in str(message.render()))
        await stage.press("backspace", *"green")
        await stage.until(lambda: not message.display)
        await stage.until(lambda: [one.id for one in screen._found] == [pears])
        await stage.press("f2", *"Fruit", "enter")
        await stage.until(lambda: [one.title for one in sessions(root, "fruit")] == ["Fruit"])
        await stage.until(lambda: [one.title for one in screen._found] == ["Fruit"])
        await stage.press("f4")
        target = root / f"session-{pears}.md"
        await stage.until(target.exists)
        assert "# Fruit" in target.read_text() and "Green `ones`." in target.read_text()
        await stage.press("f4")
        await stage.until(lambda: "exists already" in str(screen.query_one("#sessions-message").render()))
        await stage.press("f3")
        await stage.until(lambda: len(list(sessions(root, "fruit"))) == 2)
        await stage.until(lambda: not isinstance(stage.app.screen, SessionsScreen))
        await stage.say("/resume fruit")
        listed = lambda: stage.app.screen.query("#sessions-list").results(OptionList)  # noqa: E731
        await stage.until(lambda: any(one.option_count for one in listed()), "the list of sessions")
        await stage.press("f5")
        await stage.until(lambda: stage.app.screen.query("#confirm-box"), "whether it is to go")
        await stage.press("y")
        await stage.until(lambda: len(list(sessions(root, "fruit"))) == 1, "one of the two in the trash")


async def test_the_message_can_be_written_in_an_editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the screen is really handed over is for the journey on a terminal; here, that nothing is lost."""
    monkeypatch.delenv("VISUAL", raising=False)
    async with Stage(tmp_path).run() as stage:
        prompt = stage.screen.agent.prompt
        await stage.press(*"half")
        for editor in ("", "/nowhere/editor"):
            monkeypatch.setitem(os.environ, "EDITOR", editor)
            await stage.press("ctrl+g")
            assert prompt.text == "half"
