"""A review in which whatever changes files is the agent: a turn of its own is open as long as it is watched.

Decisions wait for the end of a turn, and this one would never end: it is closed for each of them, which records
all that was changed by then, and another one is begun. What such a program commits stays under review, as with
the agent.
"""

import time
from collections.abc import Callable
from threading import RLock
from typing import Any, cast

from app.review.errors import ReviewError
from app.review.model import FileChange
from app.review.port import ReviewPort

_WORDS = "Changed by other programs"
_NEEDS_NO_TURN = frozenset(
    {
        *("keep", "reject", "keep_selected", "reject_selected", "bring_back", "put_away", "commit"),
        *("rewind", "replace_files", "undo", "redo", "subsets"),
    }
)


class Watched:
    """A ReviewPort around `review`; safe to call from several threads."""

    def __init__(self, review: ReviewPort) -> None:
        self._review = review
        self._session = f"outside-{time.time_ns()}"
        self._turn = 0
        self._is_open = False
        self._lock = RLock()

    def begin(self) -> None:
        """From now on, what changes is the agent's. Raises ReviewError while another window's turn runs."""
        with self._lock:
            if not self._is_open:
                self._review.begin_turn(self._turn + 1, self._session, _WORDS)
                self._turn += 1
                self._is_open = True
                self._review.command_started()

    def end(self) -> None:
        """What has changed until now is recorded, and nothing of what follows is the agent's."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                self._review.end_turn(self._turn)

    def changes(self) -> tuple[FileChange, ...]:
        """See ReviewPort; what was changed since is taken in first."""
        return self._after_a_look(self._review.changes)

    def changes_and_traces(self) -> tuple[FileChange, ...]:
        """See ReviewPort; what was changed since is taken in first."""
        return self._after_a_look(self._review.changes_and_traces)

    def _after_a_look(self, read: Callable[[], tuple[FileChange, ...]]) -> tuple[FileChange, ...]:
        with self._lock:
            if self._is_open:
                self._review.command_finished(still_runs=True)
            else:
                self.begin()
            return read()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._review, name)
        if name not in _NEEDS_NO_TURN:
            return found

        def decide(*given: Any, **named: Any) -> Any:
            with self._lock:
                self.end()
                try:
                    return found(*given, **named)
                finally:
                    self._go_on()

        return decide

    def _go_on(self) -> None:
        try:
            self.begin()
        except ReviewError:
            # The decision stands; the next reading begins anew, and says why if it cannot.
            self._is_open = False


def watched(review: ReviewPort) -> tuple[ReviewPort, Watched]:
    """`review` as it is while other programs' changes are the agent's, and what begins and ends that."""
    made = Watched(review)
    return cast(ReviewPort, made), made
