"""The turn that runs, and what waits for it."""

import time
from collections.abc import AsyncIterator
from contextlib import aclosing

from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.worker import Worker

from app.agent.errors import MessageTooLong
from app.agent.events import (
    AgentEvent,
    FilesChanged,
    ReplyFinished,
    ReplyProgressed,
    Steered,
    TodosChanged,
    ToolOutput,
    ToolStarted,
    TurnEnded,
)
from app.agent.port import AgentPort
from app.errors import TidegateError
from app.model.events import Finished, Timings
from app.ui.panes.conversation import Conversation
from app.ui.widgets.agent.prompt_input import PromptInput
from app.ui.widgets.agent.queued_messages import QueuedMessages
from app.ui.widgets.agent.todo_list import TodoList


class TurnChanged(Message, namespace="agent_pane"):
    """A turn began (`running`) or ended."""

    def __init__(self, running: bool) -> None:
        super().__init__()
        self.running = running


class FilesTouched(Message, namespace="agent_pane"):
    """The agent changed files."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        super().__init__()
        self.paths = paths


class Replied(Message, namespace="agent_pane"):
    """One request to the model is complete."""

    def __init__(self, finished: Finished) -> None:
        super().__init__()
        self.finished = finished


class Replying(Message, namespace="agent_pane"):
    """How fast the reply comes."""

    def __init__(self, timings: Timings) -> None:
        super().__init__()
        self.timings = timings


class TurnRunner:
    """Sends what the user says, one turn after the other, shows what comes of it, and tells the screen."""

    def __init__(
        self,
        pane: Widget,
        conversation: Conversation,
        todos: TodoList,
        queued: QueuedMessages,
        prompt: PromptInput,
    ) -> None:
        """What could not be sent goes back to `prompt`."""
        self._pane = pane
        self._conversation = conversation
        self._todos = todos
        self._queued = queued
        self._prompt = prompt
        self.agent: AgentPort | None = None
        self.can_go_on = False
        """Whether the last turn was stopped or failed."""
        self._turn: Worker[None] | None = None
        self._queue: list[str] = []
        self._told: list[str] = []
        """What was told to the running turn and not taken yet."""
        self._ended = False
        self._is_stopping = False
        self._heard_at: float | None = None
        self._clock: Timer | None = None  # while a turn runs: at rest, nothing ticks

    @property
    def is_working(self) -> bool:
        """Whether a turn runs."""
        return self._turn is not None

    @property
    def is_idle(self) -> bool:
        """Whether no turn runs and none waits."""
        return not (self.is_working or self._queue)

    @property
    def silent_seconds(self) -> float | None:
        """How long the model has said nothing; None while it is not its turn."""
        return None if self._heard_at is None or not self.is_working else time.monotonic() - self._heard_at

    def send(self, text: str) -> None:
        """Send `text` to the agent, or queue it; behind an exclamation mark it is a command for the shell."""
        self._queue.append(text)
        self.send_next()

    def tell_now(self) -> None:
        """What waits goes into the running turn, up to the first command for the shell."""
        while self.agent is not None and self.is_working and self._queue and self._queue[0][:1] != "!":
            try:
                self.agent.steer(self._queue[0])
            except MessageTooLong as error:
                self._conversation.note(f"{error}. Nothing was sent; it waits below.")
                break
            self._told.append(self._queue.pop(0))
        self._show_queue()

    def send_next(self) -> None:
        """Send what waits longest, if the agent is there and free."""
        if self._queue and self._turn is None and self.agent is not None:
            text = self._queue.pop(0)
            if text.startswith("!") and text[1:].strip():
                self._start(self.agent.run_command(text[1:].strip()), text)
            else:
                self._start(self.agent.run_turn(text), text)
        self._show_queue()

    def go_on(self) -> None:
        """Continue the turn that was stopped or failed."""
        if self.agent is None or self._turn is not None or not self.can_go_on:
            self._pane.app.notify("There is no stopped turn to go on with.", timeout=3)
        else:
            self._start(self.agent.continue_turn(), "")

    def cancel(self) -> bool:
        """Stop the turn. False if none runs."""
        if self._turn is None or self.agent is None:
            return False
        if self._is_stopping:
            # Asked twice: whatever the turn still waits for is given up.
            self._turn.cancel()
        self._is_stopping = True
        self.agent.cancel()
        return True

    def _start(self, events: AsyncIterator[AgentEvent], text: str) -> None:
        self._ended = self._is_stopping = False
        self._turn = self._pane.run_worker(self._run(events, text), group="turn")
        self._conversation.follow()
        self._clock = self._pane.set_interval(1, self._conversation.tick)
        self._pane.post_message(TurnChanged(True))

    async def _run(self, events: AsyncIterator[AgentEvent], text: str) -> None:
        """Show what happens. A turn that did not even begin leaves `text` where it can be changed."""
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
                            self._todos.show(todos)
                        case Steered(text=taken):
                            if taken in self._told:
                                self._told.remove(taken)
                            self._show_queue()
                        case FilesChanged(paths=paths):
                            self._pane.post_message(FilesTouched(paths))
                        case ReplyProgressed(timings=timings):
                            self._pane.post_message(Replying(timings))
                        case ReplyFinished(finished=finished):
                            last = finished
                            self._pane.post_message(Replied(finished))
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
                self.can_go_on = not completed
            self._told.clear()
            if self.agent is not None:
                self._queue[:0] = self.agent.take_back()
            if not has_begun and text:
                self._queue.insert(0, text)
            self._after(completed)

    def _after(self, completed: bool) -> None:
        if self._clock is not None:
            self._clock.stop()
        self._todos.show(())  # the plan was the turn's
        self._pane.post_message(TurnChanged(False))
        if not self._queue or not self._pane.is_mounted:
            return
        if completed:
            self._pane.call_later(self.send_next)
        else:
            # A turn that was stopped or failed: what waited goes back to where it can be changed.
            waiting = "\n\n".join(self._queue)
            self._queue.clear()
            self._show_queue()
            self._prompt.set_draft(waiting)

    def _show_queue(self) -> None:
        self._queued.show(self._told, self._queue, is_working=self.is_working)
