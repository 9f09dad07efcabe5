"""The conversation with the agent."""

import time
from collections.abc import AsyncIterator
from contextlib import aclosing

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import Worker

from app.agent.events import AgentEvent, FilesChanged, Mode, ReplyFinished, TodosChanged, TurnEnded
from app.agent.port import AgentPort, PermissionAnswer, PermissionRequest
from app.errors import TidegateError
from app.model.events import EngineStatus, Finished
from app.ui.palette import Palette
from app.ui.panes.conversation import Conversation
from app.ui.text import visible
from app.ui.widgets.permission_prompt import PermissionPrompt
from app.ui.widgets.prompt_input import PromptInput
from app.ui.widgets.transcript import Transcript
from app.ui.widgets.transcript_items import NoticeItem

_MODES: tuple[Mode, ...] = ("plan", "ask", "auto")
_MODE_WORDS: dict[Mode, str] = {
    "plan": "plan: it reads and changes nothing",
    "ask": "ask: it asks before it changes or runs something",
    "auto": "auto: it works by itself inside the sandbox",
}
_MOST_TODOS = 7


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

    class ModeChanged(Message):
        """The agent works in another mode now."""

    class NewMessage(Message):
        """The user sent a message."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._agent: AgentPort | None = None
        self._turn: Worker[None] | None = None
        self._queue: list[str] = []
        self._ended = False
        self._is_stopping = False
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
        yield self.prompt

    def on_mount(self) -> None:
        for field in (self._todos, self._banner, self._queued):
            field.display = False

    def greet(self, greeting: str, go_on_key: str) -> None:
        """Say what there is to know at the start."""
        self._conversation.go_on_key = go_on_key
        self._conversation.add(NoticeItem(greeting, "quiet"))

    def connect(self, agent: AgentPort) -> None:
        """From here on messages go to `agent`, and those that wait for it."""
        self._agent = agent
        self._send_next()

    def refuse(self, reason: str) -> None:
        """There will be no agent."""
        self._conversation.note(reason)

    @property
    def main_widget(self) -> Widget:
        """What should have the focus when the pane gets it."""
        return self.permission if self.permission.is_asking else self.prompt

    @property
    def is_working(self) -> bool:
        """Whether a turn runs."""
        return self._turn is not None

    async def ask(self, request: PermissionRequest) -> PermissionAnswer:
        """The agent's question to the user."""
        self._conversation.wait_for_user(request)
        return await self.permission.ask(request)

    # The turn.

    def on_prompt_input_sent(self, event: PromptInput.Sent) -> None:
        event.stop()
        self.post_message(self.NewMessage())
        self._queue.append(event.text)
        self._send_next()

    def _send_next(self) -> None:
        """Send what waits longest, if the agent is there and free."""
        if self._queue and self._turn is None and self._agent is not None:
            self._start(self._agent.run_turn(self._queue.pop(0)))
        self._show_queue()

    def _start(self, events: AsyncIterator[AgentEvent]) -> None:
        self._ended = self._is_stopping = False
        self._turn = self.run_worker(self._run_turn(events), group="turn")
        self.transcript.follow()
        self.post_message(self.TurnChanged(True))

    async def _run_turn(self, events: AsyncIterator[AgentEvent]) -> None:
        began = time.monotonic()
        last: Finished | None = None
        completed = False
        conversation = self._conversation
        try:
            async with aclosing(events) as stream:  # type: ignore[type-var]
                async for event in stream:
                    conversation.apply(event)
                    match event:
                        case TodosChanged(todos=todos):
                            self._show_todos(todos)
                        case FilesChanged(paths=paths):
                            self.post_message(self.FilesTouched(paths))
                        case ReplyFinished(finished=finished):
                            last = finished
                            self.post_message(self.Replied(finished))
                        case TurnEnded(reason=reason):
                            self._ended = True
                            completed = reason == "done"
        except TidegateError as error:
            conversation.note(str(error))
        finally:
            conversation.settle()
            if not self._ended:
                conversation.apply(TurnEnded(0, "cancelled"))
            elif completed and last is not None:
                conversation.summarize(last, time.monotonic() - began)
            self._turn = None
            self._can_go_on = not completed
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
            self._start(self._agent.continue_turn())

    def _show_queue(self) -> None:
        field = self._queued
        field.display = bool(self._queue)
        palette = Palette.from_variables(self.app.theme_variables)
        lines = [
            Text.assemble(("queued ", palette.accent), (visible(text), palette.muted)) for text in self._queue
        ]
        for line in lines:
            line.truncate(max(8, self.size.width - 4), overflow="ellipsis")
        field.update(Text("\n").join(lines[:4]))

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
        if self._agent is None:
            return
        self._agent.mode = _MODES[(_MODES.index(self._agent.mode) + 1) % len(_MODES)]
        self.app.notify(_MODE_WORDS[self._agent.mode], timeout=2.5)
        self.post_message(self.ModeChanged())

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
