"""Reading the conversation with the cursor in the message field: scrolling, output, search, plan, history."""

from collections.abc import AsyncGenerator
from pathlib import Path

from app.agent.events import AgentEvent, TextStreamed, TodosChanged, ToolFinished, ToolOutput, ToolStarted
from app.ui.dialogs.history import HistoryScreen
from tests.support.ui.screen import ScriptedAgent, Stage

OUTPUT = "\n".join(f"line {number}" for number in range(1, 21))
TODOS = (("Look", "completed"), ("Write it", "in_progress"), ("Test", "pending"))


async def runs(agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
    """A command that waits in its middle, and a long reply."""
    yield TodosChanged(TODOS)
    yield ToolStarted("1", "run_shell_command", {}, "$ make")
    yield ToolOutput("1", f"{OUTPUT}\n")
    await agent.go_on.wait()
    yield ToolFinished("1", "run_shell_command", False, f"{OUTPUT}\n[Exit status 2]", "tail")
    yield ToolStarted("2", "read_file", {}, "Read a.txt")
    yield ToolFinished("2", "read_file", True, "a needle in it", "a needle in it")
    yield TextStreamed("\n\n".join(f"Paragraph {number} has no needle." for number in range(40)))


async def test_a_commands_output_is_seen_while_it_runs_and_afterwards(tmp_path: Path) -> None:
    async with Stage(tmp_path, runs).run() as stage:
        await stage.say("Build it")
        await stage.until(lambda: "line 20" in stage.transcript())
        rows = [row.split("│ ")[-1] for row in stage.transcript().split("\n") if "line " in row]
        assert rows == [f"line {number}" for number in range(16, 21)], "the newest, live"
        call = stage.screen.agent.transcript.calls[0]
        call._began -= 75
        await stage.until(lambda: "running 1 min 1" in stage.transcript())
        stage.agent.go_on.set()
        await stage.until(lambda: "[Exit status 2]" in stage.transcript())
        rows = [row.split("│ ")[-1] for row in stage.transcript().split("\n") if "│ " in row]
        assert rows == ["line 1", "line 2", "… 16 more lines", "line 19", "line 20", "[Exit status 2]"]
        assert "1 min 1" in stage.transcript()


async def test_ones_own_command_is_shown_whole(tmp_path: Path) -> None:
    async with Stage(tmp_path).run() as stage:

        async def prints(command: str) -> AsyncGenerator[AgentEvent, None]:
            long = "\n".join(f"row {number}" for number in range(900))
            yield ToolStarted("s", "run_shell_command", {}, f"$ {command}", is_users=True)
            yield ToolFinished("s", "run_shell_command", True, long, "row 899")

        stage.agent.run_command = prints  # type: ignore[method-assign,assignment]
        await stage.say("!seq 900")
        await stage.until(lambda: "row 899" in stage.transcript())
        assert "row 0\n" in stage.transcript() and "row 500\n" in stage.transcript()


async def test_the_plan_is_one_line_that_unfolds_and_goes_with_its_turn(tmp_path: Path) -> None:
    async with Stage(tmp_path, runs).run() as stage:
        plan = stage.screen.agent.plan
        await stage.say("Build it")
        await stage.until(lambda: plan.display and plan.size.height == 1)
        await stage.until(lambda: "Plan 1/3  Write it" in str(plan.render()))
        await stage.press("f11")
        await stage.until(lambda: plan.size.height == 4 and "· Test" in str(plan.render()))
        await stage.press("f11")
        await stage.until(lambda: plan.size.height == 1)
        stage.agent.go_on.set()
        await stage.until(lambda: not plan.display)


async def test_the_conversation_is_read_from_the_message_field(tmp_path: Path) -> None:
    async with Stage(tmp_path, runs).run(size=(120, 30)) as stage:
        stage.agent.go_on.set()
        await stage.say("Build it")
        view, prompt = stage.screen.agent.transcript, stage.screen.agent.prompt
        await stage.until(lambda: not stage.screen.agent.is_working and view._dirty_from is None)
        end = view.scroll_offset.y
        assert end > 0
        await stage.press("pageup")
        await stage.until(lambda: view.scroll_offset.y < end)
        await stage.press("ctrl+home")
        await stage.until(lambda: view.scroll_offset.y == 0)
        await stage.press("pagedown")
        await stage.until(lambda: view.scroll_offset.y > 0)
        await stage.press("ctrl+end")
        await stage.until(lambda: view.scroll_offset.y == end)
        # The newest output, then all of it; a selection is cut as ever.
        await stage.press("ctrl+d")
        assert [call.expanded for call in view.calls] == [False, True] and view.scroll_offset.y < end
        await stage.press("ctrl+x")
        assert all(call.expanded for call in view.calls)
        await stage.press(*"word", "shift+home", "ctrl+x")
        assert prompt.text == "" and all(call.expanded for call in view.calls)
        await stage.press("ctrl+x")
        assert prompt.has_focus and not any(call.expanded for call in view.calls)


async def test_a_search_walks_its_matches_and_opens_what_is_folded(tmp_path: Path) -> None:
    async with Stage(tmp_path, runs).run(size=(120, 30)) as stage:
        stage.agent.go_on.set()
        await stage.say("Build it")
        await stage.until(lambda: not stage.screen.agent.is_working)
        view = stage.screen.agent.transcript
        frame = stage.screen.query_one("#agent-pane")

        def told() -> str:
            return str(frame.border_subtitle)

        def row_of_match() -> str:
            item, offset = view._found_row or (None, 0)
            return view.row_text(view._starts[view._index(item)] + offset) if item is not None else ""

        await stage.press("ctrl+f", *"needle")
        await stage.until(lambda: "41 of 41" in told())
        assert "Paragraph 39" in row_of_match()
        await stage.press("enter", "N")
        await stage.until(lambda: "40 of 41" in told() and "Paragraph 38" in row_of_match())
        await stage.press("n", "n")  # around the end, to what is folded
        await stage.until(lambda: "1 of 41" in told())
        assert "a needle in it" in row_of_match() and view.calls[1].expanded
        await stage.press("escape")
        assert told() == "" and stage.screen.agent.prompt.has_focus and not view.search.query


async def test_a_message_of_any_session_is_found_by_its_words(tmp_path: Path) -> None:
    async with Stage(tmp_path).run() as stage:
        prompt = stage.screen.agent.prompt
        prompt.remember(["mend the parser", "write tests", "rename the parser's file"])
        for keys, text in (("file parser", "rename the parser's file"), ("parser", "mend the parser")):
            await stage.press("ctrl+r")
            await stage.until(lambda: isinstance(stage.app.screen, HistoryScreen))
            older = ["ctrl+r"] if text.startswith("mend") else []
            await stage.press(*keys, *older, "enter")
            await stage.until(lambda text=text: stage.app.screen is stage.screen and prompt.text == text)
            prompt.reset()
        await stage.press("ctrl+r", "escape")
        await stage.until(lambda: stage.app.screen is stage.screen and prompt.has_focus)
