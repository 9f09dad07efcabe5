"""The conversation with the agent."""

import asyncio
import time
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from app.agent.errors import AgentMissing
from app.agent.events import AgentEvent, TurnEnded
from app.agent.port import AgentPort, PermissionAnswer, PermissionRequest
from app.settings.settings import Effort, Mode
from app.ui.drawing.text import age, visible
from app.ui.panes.completer import Completer, read_user_commands
from app.ui.panes.conversation import Conversation
from app.ui.panes.turns import TurnRunner
from app.ui.slash import parse
from app.ui.widgets.agent.completion_list import CompletionList
from app.ui.widgets.agent.engine_banner import EngineBanner
from app.ui.widgets.agent.permission_prompt import PermissionPrompt
from app.ui.widgets.agent.prompt_input import PromptInput
from app.ui.widgets.agent.queued_messages import QueuedMessages
from app.ui.widgets.agent.todo_list import TodoList
from app.ui.widgets.agent.transcript import Transcript
from app.ui.widgets.agent.transcript_items import NoticeItem, ReplyItem, UserItem
from app.ui.widgets.ask_line import AskLine
from app.workspace.workspace import Workspace

_MODES: tuple[Mode, ...] = ("plan", "ask", "auto")
_MODE_WORDS: dict[Mode, str] = {
    "plan": "plan: it reads and changes nothing",
    "ask": "ask: it asks before it changes or runs something",
    "auto": "auto: it works by itself inside the sandbox",
}
_EFFORT_WORDS: dict[Effort, str] = {
    "default": "effort default: the model thinks as it and its server have it",
    "off": "effort off: the model answers at once",
    "low": "effort low: the model thinks briefly, if it can",
    "medium": "effort medium: the model thinks for a while, if it can",
    "high": "effort high: the model thinks at length, if it can",
}
_LONGEST_TITLE = 60  # characters


class AgentPane(Vertical):
    """Transcript, plan, permission and message field; what runs behind them are its `turns`."""

    class ModeChanged(Message):
        """The agent works in another mode, or thinks with another effort, now."""

    class NewMessage(Message):
        """The user sent a message."""

    class TerminalWanted(Message):
        """The user wants to run `line`, which needs a terminal."""

        def __init__(self, line: str) -> None:
            super().__init__()
            self.line = line

    class CommandGiven(Message):
        """The user wrote `text`, a command behind a slash."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, workspace: Workspace, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._root = workspace.root
        self._is_decided = asyncio.Event()  # whether there will be an agent
        # Kept here because a turn that is cancelled by leaving ends when the pane is already empty.
        self.transcript = Transcript(id="transcript")
        self.permission = PermissionPrompt(id="permission")
        self.prompt = PromptInput(id="prompt")
        self.banner = EngineBanner(id="engine-banner")
        self.plan = TodoList(id="todos")
        self._search_line = AskLine(id="transcript-input")
        self._queued = QueuedMessages(id="queued")
        self._conversation = Conversation(self.transcript)
        self._completer = Completer(self.prompt, workspace)
        self.turns = TurnRunner(self, self._conversation, self.plan, self._queued, self.prompt)

    def compose(self) -> ComposeResult:
        yield self.transcript
        yield self._search_line
        yield self.plan
        yield self.banner
        yield self._queued
        yield self.permission
        yield self.prompt.completions
        yield self.prompt

    def on_resize(self) -> None:
        self.permission.fit()

    def greet(self, greeting: str, go_on_key: str) -> None:
        """Say what there is to know at the start."""
        self._conversation.go_on_key = go_on_key
        self._conversation.add(NoticeItem(greeting, "quiet"))

    async def connect(self, agent: AgentPort, history: tuple[AgentEvent, ...] = ()) -> None:
        """From here on messages go to `agent`, and those that wait for it; `history` is shown. An agent that
        was here before is let go."""
        before, self.turns.agent = self.turns.agent, agent
        if before is not None:
            self._clear()
            await before.aclose()
        self._show_past(history)
        self._is_decided.set()
        self.post_message(self.ModeChanged())
        self.transcript.follow()
        self.turns.send_next()

    def show_again(self, history: tuple[AgentEvent, ...], draft: str) -> None:
        """The conversation was rewound: show `history`, the active branch, and put `draft` into the field."""
        self._clear()
        self._show_past(history)
        if draft:
            self.prompt.set_draft(draft)
        self.transcript.follow()
        self.prompt.focus()

    def _clear(self) -> None:
        self._conversation.clear()
        self.plan.show(())
        self.turns.can_go_on = False

    def _show_past(self, history: tuple[AgentEvent, ...]) -> None:
        for event in history:
            self._conversation.apply(event)
            if isinstance(event, TurnEnded):
                self.turns.can_go_on = event.reason != "done"
        self._conversation.settle()

    def offer(self, title: str, used: float, key: str) -> None:
        """Say that there is an earlier session, unless the user has begun to talk already."""
        if self.turns.is_idle:
            words = title if len(title) <= _LONGEST_TITLE else f"{title[:_LONGEST_TITLE]}…"
            self.tell(f"Last session, {age(time.time() - used)}: “{words}”. {key} or /resume goes on with it.")

    def explain(self, markdown: str) -> None:
        """Something longer of the workspace's own, in the transcript."""
        item = ReplyItem()
        item.append(markdown)
        self._conversation.add(item)
        self.transcript.follow()

    def tell(self, text: str, is_error: bool = False) -> None:
        """A sentence of the workspace's own, in the transcript."""
        self._conversation.add(NoticeItem(text, "error" if is_error else "note"))
        self.transcript.follow()

    @property
    def port(self) -> AgentPort:
        """The agent. Raises AgentMissing while there is none."""
        if self.turns.agent is None:
            raise AgentMissing("The agent is not there yet", "wait a moment")
        return self.turns.agent

    async def until_decided(self) -> None:
        """Wait, at the start, until there is an agent or will be none."""
        await self._is_decided.wait()

    @property
    def session_id(self) -> str | None:
        """The session that is open."""
        return self.turns.agent.session_id if self.turns.agent is not None else None

    @property
    def spoken_session(self) -> str | None:
        """The session that is open, if something was said in it: of another nothing is kept."""
        is_spoken = any(isinstance(item, UserItem) for item in self.transcript.items)
        return self.session_id if is_spoken else None

    async def read_user_commands(self) -> dict[str, str]:
        """The user's own commands, with what they do."""
        return await read_user_commands(self.turns.agent)

    def refuse(self, reason: str) -> None:
        """There will be no agent."""
        self._is_decided.set()
        self._conversation.note(reason)

    @property
    def main_widget(self) -> Widget:
        """What should have the focus when the pane gets it."""
        return self.permission if self.permission.is_asking else self.prompt

    @property
    def is_working(self) -> bool:
        """Whether a turn runs."""
        return self.turns.is_working

    async def ask(self, request: PermissionRequest) -> PermissionAnswer:
        """The agent's question to the user."""
        self._conversation.wait_for_user(request)
        return await self.permission.ask(request)

    # Reading the conversation.

    async def on_prompt_input_read_wanted(self, event: PromptInput.ReadWanted) -> None:
        event.stop()
        await self.transcript.run_action(event.action)

    def on_transcript_search_wanted(self, event: Transcript.SearchWanted) -> None:
        event.stop()
        self._search_line.open("Search in the conversation; Enter walks the matches with n and N")

    def on_input_changed(self, event: AskLine.Changed) -> None:
        if event.input is self._search_line:
            event.stop()
            self.transcript.look_for(event.value)

    def on_input_submitted(self, event: AskLine.Submitted) -> None:
        if event.input is self._search_line:
            event.stop()
            self._search_line.close()
            self.transcript.focus()

    def on_transcript_plan_wanted(self, event: Transcript.PlanWanted) -> None:
        event.stop()
        self.plan.toggle()

    def on_transcript_searched(self, event: Transcript.Searched) -> None:
        event.stop()
        search, frame = self.transcript.search, self.parent
        if isinstance(frame, Widget):
            words = f"“{visible(search.query)}” {search.words} · n N · Esc ends" if search.query else ""
            frame.border_subtitle = Content(words)

    def leave_innermost(self) -> bool:
        """Leave the innermost thing: a denial's comment, a search, then the turn. False if there was none."""
        if self.permission.leave_comment():
            return True
        focused = self.screen.focused
        is_here = focused is not None and self in focused.ancestors
        if is_here and (self._search_line.close() or self.transcript.search.query):
            self.transcript.look_for("")
            self.main_widget.focus()
            return True
        return self.turns.cancel()

    # The turn.

    def on_prompt_input_sent(self, event: PromptInput.Sent) -> None:
        event.stop()
        if parse(event.text) is not None:
            self.post_message(self.CommandGiven(event.text))
        else:
            self.send(event.text)

    def send(self, text: str) -> None:
        """Send `text` to the agent, or queue it; see TurnRunner. A command of the user's that needs a terminal
        is for the terminal pane."""
        if text.startswith("!") and _needs_terminal(text[1:], self._root):
            self.post_message(self.TerminalWanted(text[1:].strip()))
            return
        self.post_message(self.NewMessage())
        self.turns.send(text)

    def on_prompt_input_tell_now(self, event: PromptInput.TellNow) -> None:
        event.stop()
        self.turns.tell_now()

    async def aclose(self) -> None:
        """End everything that the agent has running."""
        if self.turns.agent is not None:
            await self.turns.agent.aclose()

    # Mode.

    @property
    def mode(self) -> Mode:
        """How freely the agent works."""
        return self.turns.agent.mode if self.turns.agent is not None else "ask"

    def cycle_mode(self) -> None:
        """The next mode."""
        if self.turns.agent is not None:
            self.set_mode(_MODES[(_MODES.index(self.turns.agent.mode) + 1) % len(_MODES)])

    def set_mode(self, mode: Mode) -> None:
        """From here on the agent works in `mode`."""
        self.port.mode = mode
        self.app.notify(_MODE_WORDS[mode], timeout=2.5)
        self.post_message(self.ModeChanged())

    @property
    def effort(self) -> Effort:
        """How much the model thinks."""
        return self.turns.agent.effort if self.turns.agent is not None else "default"

    def set_effort(self, effort: Effort) -> None:
        """From the next reply on the model thinks with `effort`."""
        self.port.effort = effort
        self.app.notify(_EFFORT_WORDS[effort], timeout=2.5)
        self.post_message(self.ModeChanged())

    # Completion.

    def on_text_area_changed(self, event: PromptInput.Changed) -> None:
        event.stop()
        self._completer.complete(self.turns.agent)

    def on_text_area_selection_changed(self, event: PromptInput.SelectionChanged) -> None:
        event.stop()
        if self.prompt.token() is None:
            self._completer.complete(self.turns.agent)

    def on_completion_list_chosen(self, event: CompletionList.Chosen) -> None:
        event.stop()
        self.prompt.action_complete()
        self.prompt.focus()

    def on_prompt_input_mode_wanted(self, event: PromptInput.ModeWanted) -> None:
        event.stop()
        self.cycle_mode()

    # Permission.

    def on_permission_prompt_shown(self, event: PermissionPrompt.Shown) -> None:
        if event.asking:
            if self.app.focused is None or self.prompt.has_focus or self.transcript.has_focus:
                self.permission.focus()
        elif self.app.focused is None or self.permission in self.app.focused.ancestors_with_self:
            self.prompt.focus()

    def on_permission_prompt_typed(self, event: PermissionPrompt.Typed) -> None:
        event.stop()
        self.prompt.insert(event.character)

    def on_transcript_reply_wanted(self, event: Transcript.ReplyWanted) -> None:
        event.stop()
        self.main_widget.focus()


def _needs_terminal(line: str, root: Path) -> bool:
    from app.agent.permission.commands.judge import judge  # noqa: PLC0415  the first frame has no command to judge
    from app.agent.permission.commands.needs_terminal import needs_terminal  # noqa: PLC0415

    return needs_terminal(judge(line, root, root)) is not None
