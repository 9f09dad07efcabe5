"""The conversation with the agent."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import Worker

from app.agent.errors import AgentMissing
from app.agent.events import (
    AgentEvent,
    FilesChanged,
    Mode,
    ReplyFinished,
    ReplyProgressed,
    Steered,
    TodosChanged,
    ToolOutput,
    ToolStarted,
    TurnEnded,
)
from app.agent.port import AgentPort, PermissionAnswer, PermissionRequest
from app.errors import TidegateError
from app.model.events import EngineStatus, Finished, Timings
from app.ui.completion import Token, command_candidates, file_candidate, rank, with_directories
from app.ui.palette import Palette
from app.ui.panes.conversation import Conversation
from app.ui.slash import SLASH_COMMANDS, parse
from app.ui.text import age, visible
from app.ui.widgets.completion_list import MOST_SHOWN, CompletionList
from app.ui.widgets.permission_prompt import PermissionPrompt
from app.ui.widgets.prompt_input import PromptInput
from app.ui.widgets.transcript import Transcript
from app.ui.widgets.transcript_items import NoticeItem, ReplyItem, UserItem
from app.workspace.workspace import Workspace

_MODES: tuple[Mode, ...] = ("plan", "ask", "auto")
_MODE_WORDS: dict[Mode, str] = {
    "plan": "plan: it reads and changes nothing",
    "ask": "ask: it asks before it changes or runs something",
    "auto": "auto: it works by itself inside the sandbox",
}
_MOST_TODOS = 7
_LONGEST_TITLE = 60


class AgentPane(Vertical):
    """Transcript, plan, permission and message field, and the turn that runs behind them."""

    class TurnChanged(Message):
        """A turn began (`running`) or ended."""

        def __init__(self, running: bool) -> None:
            super().__init__()
            self.running = running

    class FilesTouched(Message):
        """The agent changed files."""

        def __init__(self, paths: tuple[str, ...]) -> None:
            super().__init__()
            self.paths = paths

    class Replied(Message):
        """One request to the model is complete."""

        def __init__(self, finished: Finished) -> None:
            super().__init__()
            self.finished = finished

    class Replying(Message):
        """How fast the reply comes."""

        def __init__(self, timings: Timings) -> None:
            super().__init__()
            self.timings = timings

    class ModeChanged(Message):
        """The agent works in another mode now."""

    class NewMessage(Message):
        """The user sent a message."""

    class CommandGiven(Message):
        """The user wrote `text`, a command behind a slash."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, workspace: Workspace, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._workspace = workspace
        self._agent: AgentPort | None = None
        self._is_decided = asyncio.Event()  # whether there will be an agent
        self._turn: Worker[None] | None = None
        self._queue: list[str] = []
        self._told: list[str] = []
        """What was told to the running turn and not taken yet."""
        self._names: list[str] | None = None
        """The files and directories that a mention may mean, listed when one begins."""
        self._ended = False
        self._is_stopping = False
        self._heard_at: float | None = None
        self._can_go_on = False
        # Kept here because a turn that is cancelled by leaving ends when the pane is already empty.
        self.transcript = Transcript(id="transcript")
        self.permission = PermissionPrompt(id="permission")
        self.prompt = PromptInput(id="prompt")
        self._todos = Static("", id="todos", markup=False)
        self._banner = Static("", id="engine-banner")
        self._queued = Static("", id="queued", markup=False)
        self._conversation = Conversation(self.transcript)

    def compose(self) -> ComposeResult:
        yield self.transcript
        yield self._todos
        yield self._banner
        yield self._queued
        yield self.permission
        yield self.prompt.completions
        yield self.prompt

    def on_mount(self) -> None:
        for field in (self._todos, self._banner, self._queued):
            field.display = False

    def on_resize(self) -> None:
        self.permission.fit()

    def greet(self, greeting: str, go_on_key: str) -> None:
        """Say what there is to know at the start."""
        self._conversation.go_on_key = go_on_key
        self._conversation.add(NoticeItem(greeting, "quiet"))

    async def connect(self, agent: AgentPort, history: tuple[AgentEvent, ...] = ()) -> None:
        """From here on messages go to `agent`, and those that wait for it; `history` is shown. An agent that
        was here before is let go."""
        before, self._agent = self._agent, agent
        if before is not None:
            self._clear()
            await before.aclose()
        self._show_past(history)
        self._is_decided.set()
        self.post_message(self.ModeChanged())
        self.transcript.follow()
        self._send_next()

    def show_again(self, history: tuple[AgentEvent, ...], draft: str) -> None:
        """The conversation now stands elsewhere: what stands is `history`; `draft` goes to the field."""
        self._clear()
        self._show_past(history)
        if draft:
            self.prompt.set_draft(draft)
        self.transcript.follow()
        self.prompt.focus()

    def _clear(self) -> None:
        self._conversation.clear()
        self._show_todos(())
        self._can_go_on = False

    def _show_past(self, history: tuple[AgentEvent, ...]) -> None:
        for event in history:
            self._conversation.apply(event)
            match event:
                case TodosChanged(todos=todos):
                    self._show_todos(todos)
                case TurnEnded(reason=reason):
                    self._can_go_on = reason != "done"
        self._conversation.settle()

    def offer(self, title: str, used: float, key: str) -> None:
        """Say that there is an earlier session, unless the user has begun to talk already."""
        if not self.is_working and not self._queue:
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
        if self._agent is None:
            raise AgentMissing("The agent is not there yet", "wait a moment")
        return self._agent

    async def until_decided(self) -> None:
        """Wait, at the start, until there is an agent or will be none."""
        await self._is_decided.wait()

    @property
    def session_id(self) -> str | None:
        """The session that is open."""
        return self._agent.session_id if self._agent is not None else None

    @property
    def spoken_session(self) -> str | None:
        """The session that is open, if something was said in it: of another nothing is kept."""
        is_spoken = any(isinstance(item, UserItem) for item in self.transcript.items)
        return self.session_id if is_spoken else None

    async def read_user_commands(self) -> dict[str, str]:
        """The user's own commands, with what they do."""
        return dict(await asyncio.to_thread(self._agent.user_commands)) if self._agent is not None else {}

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
        return self._turn is not None

    @property
    def silent_seconds(self) -> float | None:
        """How long the model has said nothing; None while it is not its turn."""
        return None if self._heard_at is None or not self.is_working else time.monotonic() - self._heard_at

    async def ask(self, request: PermissionRequest) -> PermissionAnswer:
        """The agent's question to the user."""
        self._conversation.wait_for_user(request)
        return await self.permission.ask(request)

    # The turn.

    def on_prompt_input_sent(self, event: PromptInput.Sent) -> None:
        event.stop()
        if parse(event.text) is not None:
            self.post_message(self.CommandGiven(event.text))
        else:
            self.send(event.text)

    def send(self, text: str) -> None:
        """Send `text` to the agent, or queue it; behind an exclamation mark it is a command for the shell."""
        self.post_message(self.NewMessage())
        self._queue.append(text)
        self._send_next()

    def on_prompt_input_tell_now(self, event: PromptInput.TellNow) -> None:
        """What waits goes into the running turn, up to the first command for the shell."""
        event.stop()
        while self._agent is not None and self.is_working and self._queue and self._queue[0][:1] != "!":
            self._told.append(self._queue.pop(0))
            self._agent.steer(self._told[-1])
        self._show_queue()

    def _send_next(self) -> None:
        """Send what waits longest, if the agent is there and free."""
        if self._queue and self._turn is None and self._agent is not None:
            text = self._queue.pop(0)
            if text.startswith("!") and text[1:].strip():
                self._start(self._agent.run_command(text[1:].strip()), text)
            else:
                self._start(self._agent.run_turn(text), text)
        self._show_queue()

    def _start(self, events: AsyncIterator[AgentEvent], text: str) -> None:
        self._ended = self._is_stopping = False
        self._turn = self.run_worker(self._run_turn(events, text), group="turn")
        self.transcript.follow()
        self.post_message(self.TurnChanged(True))

    async def _run_turn(self, events: AsyncIterator[AgentEvent], text: str) -> None:
        """Show what happens. A turn that could not even begin leaves `text` where it can be changed."""
        began = time.monotonic()
        last: Finished | None = None
        has_begun = completed = has_failed = False
        conversation = self._conversation
        try:
            async with aclosing(events) as stream:  # type: ignore[type-var]
                async for event in stream:
                    is_in_call = isinstance(event, ToolStarted | ToolOutput)
                    self._heard_at = None if is_in_call else time.monotonic()
                    conversation.apply(event)
                    has_begun = True
                    match event:
                        case TodosChanged(todos=todos):
                            self._show_todos(todos)
                        case Steered(text=text):
                            if text in self._told:
                                self._told.remove(text)
                            self._show_queue()
                        case FilesChanged(paths=paths):
                            self.post_message(self.FilesTouched(paths))
                        case ReplyProgressed(timings=timings):
                            self.post_message(self.Replying(timings))
                        case ReplyFinished(finished=finished):
                            last = finished
                            self.post_message(self.Replied(finished))
                        case TurnEnded(reason=reason):
                            self._ended = True
                            completed = reason == "done"
        except TidegateError as error:
            has_failed = True
            if has_begun:
                conversation.fail(str(error))
            else:
                conversation.note(f"{error}. Nothing was sent{'; it stands below again' if text else ''}.")
        finally:
            conversation.settle()
            if not self._ended and not has_failed:
                conversation.apply(TurnEnded(0, "cancelled"))
            elif completed and last is not None:
                conversation.summarize(last, time.monotonic() - began)
            self._turn = None
            if has_begun:
                self._can_go_on = not completed
            self._told.clear()
            if self._agent is not None:
                self._queue[:0] = self._agent.take_back()
            if has_failed and not has_begun and text:
                self._queue.insert(0, text)
            self._after_turn(completed)

    def _after_turn(self, completed: bool) -> None:
        self.post_message(self.TurnChanged(False))
        if not self._queue or not self.is_mounted:
            return
        if completed:
            self.call_later(self._send_next)
        else:
            # A turn that was stopped or failed: what waited goes back to where it can be changed.
            waiting = "\n\n".join(self._queue)
            self._queue.clear()
            self._show_queue()
            self.prompt.set_draft(waiting)

    def cancel(self) -> bool:
        """Stop the turn. False if none runs."""
        if self._turn is None or self._agent is None:
            return False
        if self._is_stopping:
            # Asked twice: whatever the turn still waits for is given up.
            self._turn.cancel()
        self._is_stopping = True
        self._agent.cancel()
        return True

    async def aclose(self) -> None:
        """End everything that the agent has running."""
        if self._agent is not None:
            await self._agent.aclose()

    def go_on(self) -> None:
        """Continue the turn that was stopped or failed."""
        if self._agent is None or self._turn is not None or not self._can_go_on:
            self.app.notify("There is no stopped turn to go on with.", timeout=3)
        else:
            self._start(self._agent.continue_turn(), "")

    def _show_queue(self) -> None:
        field = self._queued
        field.display = bool(self._queue or self._told)
        palette = Palette.from_variables(self.app.theme_variables)
        waiting = [("next ", text) for text in self._told] + [("queued ", text) for text in self._queue]
        lines = [
            Text.assemble((word, palette.accent), (visible(text), palette.muted)) for word, text in waiting[:4]
        ]
        if self._queue and self.is_working:
            lines = [*lines[:3], Text("Enter again tells it now", palette.faint)]
        for line in lines:
            line.truncate(max(8, self.size.width - 4), overflow="ellipsis")
        field.update(Text("\n").join(lines))

    def _show_todos(self, todos: tuple[tuple[str, str], ...]) -> None:
        field = self._todos
        field.display = bool(todos) and any(state != "completed" for _, state in todos)
        palette = Palette.from_variables(self.app.theme_variables)
        done = sum(state == "completed" for _, state in todos)
        current = next((n for n, (_, state) in enumerate(todos) if state != "completed"), 0)
        first = max(0, min(current - 1, len(todos) - _MOST_TODOS))
        lines = [Text(f"Plan {done}/{len(todos)}", style=palette.muted)]
        for text, state in todos[first : first + _MOST_TODOS]:
            mark, tone = {
                "completed": ("✓", palette.faint),
                "in_progress": ("▸", palette.accent),
            }.get(state, ("·", palette.muted))
            line = Text(f"{mark} {visible(text)}", style=tone)
            line.truncate(max(8, self.size.width - 4), overflow="ellipsis")
            lines.append(line)
        field.update(Text("\n").join(lines))

    # Engine and mode.

    def show_engine(self, status: EngineStatus, restart_key: str, model_key: str) -> None:
        """Say where the engine stands while it is not ready."""
        banner = self._banner
        banner.set_classes("failed" if status.phase == "failed" else "")
        banner.display = status.phase not in ("ready", "stopped")
        palette = Palette.from_variables(self.app.theme_variables)
        message = visible(status.message)
        match status.phase:
            case "failed":
                head = message or "The engine stopped."
                text = Text.assemble((head, palette.error), f"\n{restart_key} tries again; nothing was lost.")
            case "absent":
                text = Text.assemble(
                    ("There is no model yet.", palette.warning), f"\n{model_key} shows how to get one."
                )
            case _:
                head = message or f"The engine is {status.phase}…"
                text = Text(head, style=palette.accent)
                if status.progress is not None:
                    length = max(8, min(36, self.size.width - 12))
                    filled = round(length * status.progress)
                    text.append("\n" + "━" * filled, palette.primary)
                    text.append("━" * (length - filled), palette.faint)
                    text.append(f" {round(100 * status.progress)}%", palette.muted)
        banner.update(text)

    @property
    def mode(self) -> Mode:
        """How freely the agent works."""
        return self._agent.mode if self._agent is not None else "ask"

    def cycle_mode(self) -> None:
        """The next mode."""
        if self._agent is not None:
            self.set_mode(_MODES[(_MODES.index(self._agent.mode) + 1) % len(_MODES)])

    def set_mode(self, mode: Mode) -> None:
        """From here on the agent works in `mode`."""
        self.port.mode = mode
        self.app.notify(_MODE_WORDS[mode], timeout=2.5)
        self.post_message(self.ModeChanged())

    # Completion.

    def on_text_area_changed(self, event: PromptInput.Changed) -> None:
        event.stop()
        self._complete()

    def on_text_area_selection_changed(self, event: PromptInput.SelectionChanged) -> None:
        event.stop()
        if self.prompt.token() is None:
            self._complete()

    def _complete(self) -> None:
        token = self.prompt.token()
        if token is None:
            self._names = None
            self.prompt.completions.close()
        else:
            # Not yet a coroutine: the next key may come before this one's turn.
            work: Any = partial(self._find_completions, token)
            self.run_worker(work, group="completion", exclusive=True)

    async def _find_completions(self, token: Token) -> None:
        if token.kind == "command":
            own = [*(await self.read_user_commands()).items()]
            builtin = [(one.name, one.description) for one in SLASH_COMMANDS]
            found = command_candidates(token.query, [*builtin, *own], MOST_SHOWN)
        else:
            if self._names is None:
                try:
                    files = await asyncio.to_thread(self._workspace.files)
                except TidegateError as error:
                    self.app.notify(str(error), severity="warning")
                    return
                self._names = await asyncio.to_thread(with_directories, files)
            names = self._names
            ranked = await asyncio.to_thread(rank, token.query, names, MOST_SHOWN)
            found = [file_candidate(path) for path in ranked]
        if self.prompt.token() == token:
            self.prompt.completions.show(token, found)

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
