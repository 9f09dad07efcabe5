"""What the model thinks before it answers, as a folded row of the transcript that can be opened like a call."""

import time
from collections.abc import Callable

from app.model.events import Finished
from app.ui.widgets.agent.call_item import CallItem

_MOST_TEXT = 100_000  # characters kept of a thought, the newest


class ThoughtRow:
    """The thought of the reply that comes: its text, seconds, and tokens where the server counts them."""

    def __init__(self, add: Callable[[CallItem], None], changed: Callable[[CallItem], None]) -> None:
        """`add` and `changed` show an item."""
        self._add = add
        self._changed = changed
        self._open: CallItem | None = None
        self._since = 0.0
        self._ended: list[tuple[CallItem, float]] = []
        """The reply's thoughts that have ended, with their seconds."""
        self._tokens: int | None = None
        """Of the reply so far, which is nothing but thought as long as one is open."""

    def more(self, text: str, since: float | None = None) -> None:
        """More of the thought, which has gone on since then (time.monotonic(); None: now)."""
        if self._open is None:
            self._open = CallItem("", "thought", state="running")
            self._since = time.monotonic() if since is None else since
            self._add(self._open)
        self._open.output = (self._open.output + text)[-_MOST_TEXT:]
        self.tick()

    def count(self, tokens: int) -> None:
        """The reply has so many tokens by now."""
        if self._open is not None:
            self._tokens = tokens
            self.tick()

    def tick(self) -> None:
        """Show the time that an open thought has taken."""
        if self._open is not None:
            tokens = "" if self._tokens is None else f" · {self._tokens:,} tokens"
            self._open.summary = f"Thinking, {time.monotonic() - self._since:.0f} s{tokens}"
            self._changed(self._open)

    def close(self) -> None:
        """Something else follows."""
        thought, self._open = self._open, None
        if thought is not None:
            seconds = time.monotonic() - self._since
            self._ended.append((thought, seconds))
            # The last count is some tokens old.
            tokens = "" if self._tokens is None else f" · about {self._tokens:,} tokens"
            thought.summary = f"Thought for {seconds:.0f} s{tokens}"
            thought.state = "ok"
            self._changed(thought)

    def finish(self, finished: Finished | None = None) -> None:
        """The reply is complete, or comes to no end (None)."""
        self.close()
        ended, self._ended, self._tokens = self._ended, [], None
        if finished is None or len(ended) != 1 or not finished.reasoning_tokens:
            return
        ((thought, seconds),) = ended
        before = ", cut off at" if finished.thought_was_closed else " ·"
        thought.summary = f"Thought for {seconds:.0f} s{before} {finished.reasoning_tokens:,} tokens"
        self._changed(thought)
