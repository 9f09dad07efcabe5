"""From the agent's events to what the transcript shows."""

import time
from collections.abc import Sequence

from app.agent.events import (
    AgentEvent,
    Attached,
    FilesChanged,
    Noticed,
    PromptProgressed,
    ReplyBroken,
    ReplyFinished,
    ReplyProgressed,
    Steered,
    SubtaskReplied,
    SubtaskStep,
    TextStreamed,
    ThoughtStreamed,
    TodosChanged,
    ToolCallStreamed,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnEnded,
    TurnStarted,
    TurnSummarized,
)
from app.agent.last_tests import LastTests
from app.agent.port import PermissionRequest
from app.model.events import Finished, TextWasThought
from app.review.model import FileSummary
from app.ui.drawing.text import sentence
from app.ui.panes.thought import ThoughtRow
from app.ui.widgets.agent.call_item import COMMAND, CallItem
from app.ui.widgets.agent.transcript import Transcript
from app.ui.widgets.agent.transcript_items import Item, NoticeItem, ProgressItem, ReplyItem, UserItem

_MOST_FILES = 12  # in the summary of a turn, one by one
_MOST_OUTPUT = 100_000  # characters kept of a call's output, the newest


class Conversation:
    """The items of the running turn, and which of them an event continues."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self.go_on_key = ""  # the key that continues a turn that was stopped
        self._reply: ReplyItem | None = None
        self._progress: ProgressItem | None = None
        self._replies_since = 0.0
        self._thought = ThoughtRow(self.add, transcript.changed)
        self._calls: dict[str, CallItem] = {}
        self._tests = LastTests()

    def add(self, item: Item) -> None:
        """Append `item`, with a blank row between calls and other items."""
        items = self._transcript.items
        item.leads_with_blank = (
            bool(items) and isinstance(items[-1], CallItem) and not isinstance(item, CallItem)
        )
        self._transcript.add(item)

    def follow(self) -> None:
        """Keep the end in view from here on."""
        self._transcript.follow()

    def clear(self) -> None:
        """Begin with nothing."""
        self.settle()
        self._transcript.clear()
        self._tests = LastTests()

    def note(self, text: str) -> None:
        """Something went wrong, in a sentence."""
        self.add(NoticeItem(sentence(text), "error"))

    def apply(self, event: AgentEvent) -> None:
        """Show `event`."""
        self._tests.apply(event)
        match event:
            case TurnStarted(text=text):
                self._reply = None
                if text:
                    self.add(UserItem(text))
            case Steered(text=text):
                self._drop_progress()
                self._reply = None
                self.add(UserItem(text))
            case Attached(names=names):
                self.add(NoticeItem(f"with {', '.join(names)}", "quiet"))
            case PromptProgressed(progress=progress):
                if self._progress is None:
                    self._progress = ProgressItem()
                    self.add(self._progress)
                shown = self._progress
                shown.processed, shown.total, shown.cached = progress.processed, progress.total, progress.cached
                self._transcript.changed(shown)
            case ThoughtStreamed(text=text):
                self._drop_progress()
                self._thought.more(text)
            case TextWasThought():
                said = self._reply
                if said is not None:
                    self._transcript.remove_item(said)
                    self._reply = None
                    self._thought.more(said.text, self._replies_since)
                self._thought.close()
            case TextStreamed(text=text):
                self._drop_progress()
                self._thought.close()
                if self._reply is None:
                    text = text.lstrip("\n")
                    if not text:
                        return
                    self._reply = ReplyItem()
                    self._replies_since = time.monotonic()
                    self.add(self._reply)
                self._reply.append(text)
                self._transcript.changed(self._reply)
            case ToolCallStreamed(call_id=call_id, name=name, arguments=arguments):
                self._drop_progress()
                self._thought.close()
                call = self._call(call_id, name)
                call.written = len(arguments)
                self._transcript.changed(call)
            case ToolStarted(call_id=call_id, name=name, summary=summary, is_users=is_users):
                call = self._call(call_id, name)
                call.summary = summary
                call.is_users = call.expanded = is_users
                call.begin()
                self._transcript.changed(call)
            case ToolOutput(call_id=call_id, text=text):
                call = self._call(call_id, "")
                call.output = (call.output + text)[-_MOST_OUTPUT:]
                self._transcript.changed(call)
            case SubtaskStep(call_id=call_id, name=name, summary=summary):
                self._drop_progress()
                call = self._call(call_id, "task")
                if call.state != "running":
                    call.begin()
                call.output += f"· {summary}\n"
                self._transcript.changed(call)
            case SubtaskReplied():
                self._drop_progress()
            case ToolFinished():
                self._finish_call(event)
            case Noticed(text=text):
                self.add(NoticeItem(text, "warning"))
            case ReplyBroken(text=text):
                self._close_reply()
                self.add(NoticeItem(sentence(text), "warning"))
            case ReplyFinished(finished=finished):
                self._drop_progress()
                self._thought.finish(finished)
                self._reply = None
            case TurnSummarized(files=files):
                self.add(NoticeItem(_summary(files)))
            case TurnEnded():
                self._end(event)
            case ReplyProgressed(timings=timings):
                self._thought.count(timings.predicted_n)
            case TodosChanged() | FilesChanged():
                pass  # the pane and the screen show these

    def wait_for_user(self, request: PermissionRequest) -> None:
        """A call cannot go on before the user has answered."""
        call = self._call(request.call_id, request.name)
        if not request.is_part:
            call.summary = request.summary.split("\n")[0]
        call.state = "asking"
        self._transcript.changed(call)

    def tick(self) -> None:
        """A second has passed."""
        self._thought.tick()
        for call in self._calls.values():
            if call.state == "running":
                call.tick()
                self._transcript.changed(call)

    def _call(self, call_id: str, name: str) -> CallItem:
        call = self._calls.get(call_id)
        if call is None:
            self._reply = None
            call = self._calls[call_id] = CallItem(call_id, name)
            self.add(call)
        return call

    def _finish_call(self, event: ToolFinished) -> None:
        call = self._call(event.call_id, event.name)
        call.end("ok" if event.ok else "failed")
        call.summary = call.summary or event.summary or event.name
        # Of a command the user sees what the model is told, which has its first lines too, and how it ended.
        call.output = event.result if event.name == COMMAND else event.display or event.result
        self._transcript.changed(call)

    def _drop_progress(self) -> None:
        if self._progress is not None:
            self._transcript.remove_item(self._progress)
            self._progress = None

    def _end(self, event: TurnEnded) -> None:
        self.settle()
        self._tell_tests()
        if event.reason == "cancelled":
            self.add(NoticeItem(f"Stopped; what was said and done is kept. {self.go_on_key} goes on.", "note"))
        elif event.reason == "error":
            self.fail(event.message)
        elif event.message:
            self.add(NoticeItem(event.message, "warning"))
            self._offer_to_go_on()

    def _tell_tests(self) -> None:
        """Beside what the model says of the tests: how they ended."""
        if words := self._tests.take_words():
            self.add(NoticeItem(words, "warning" if self._tests.failed else "note"))

    def fail(self, text: str) -> None:
        """The turn broke off for the reason that `text` says."""
        self.note(text)
        self._offer_to_go_on()

    def _offer_to_go_on(self) -> None:
        self.add(NoticeItem(f"{self.go_on_key} goes on from here.", "quiet"))

    def settle(self) -> None:
        """Close the open items: nothing more comes for them."""
        self._close_reply()
        for call in self._calls.values():
            if call.state in ("asking", "running"):
                self._cancel(call)
        self._calls.clear()

    def _close_reply(self) -> None:
        """Nothing more comes of the reply, and of the calls that it was writing."""
        self._drop_progress()
        self._thought.finish()
        self._reply = None
        for call in self._calls.values():
            if call.state == "writing":
                self._cancel(call)

    def _cancel(self, call: CallItem) -> None:
        call.end("cancelled")
        self._transcript.changed(call)

    def summarize(self, finished: Finished, seconds: float) -> None:
        """A quiet line under a turn: how much was read and written, and how fast."""
        parts = []
        if finished.completion_tokens is not None:
            parts.append(f"{finished.completion_tokens:,} tokens")
        if finished.timings is not None:
            parts.append(f"{finished.timings.predicted_per_second:.0f} tok/s")
        parts.append(f"{seconds:.1f} s")
        self.add(NoticeItem(" · ".join(parts), "quiet"))


def _summary(files: Sequence[FileSummary]) -> str:
    """What a turn did, file by file."""
    lines = [
        f"{file.path} +{file.added} −{file.removed}"
        + (f", {file.notes} note{'' if file.notes == 1 else 's'}" if file.notes else "")
        for file in files
    ]
    if len(files) == 1:
        return f"Changed {lines[0]}"
    added, removed = sum(file.added for file in files), sum(file.removed for file in files)
    more = [f"and {len(files) - _MOST_FILES} more"] if len(files) > _MOST_FILES else []
    lines = [f"Changed {len(files)} files, +{added} −{removed}", *lines[:_MOST_FILES], *more]
    return "\n".join(lines)
