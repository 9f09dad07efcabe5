"""Reading and deciding what is reviewed: everything that touches the disk, in threads, one thing at a time."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.errors import TidegateError
from app.review.desks.desk import Desk, Seen
from app.review.model import FileChange, Remark
from app.review.port import ReviewPort

Result = TypeVar("Result")
_MOST_LOSSES = 3  # told one by one

# A decision: returns a sentence worth telling, or nothing. If it raises TidegateError, nothing has changed.
Decision = Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a desk and the log say. `was_refused`: the decision before it was not taken."""

    desk: Desk
    changes: Sequence[FileChange]
    remarks: Sequence[Remark]
    seen: Mapping[str, Seen]
    was_refused: bool


class DeskWork:
    """The desks that can be reviewed, and `desk`, which is reviewed now.

    `tell` is given sentences for the user, each with whether it is an error. `first` are the changes of the
    first desk where they are known already.
    """

    def __init__(
        self,
        port: ReviewPort,
        desks: Sequence[Desk],
        tell: Callable[[str, bool], None],
        first: Sequence[FileChange] | None = None,
    ) -> None:
        self.port = port
        self.desk = desks[0]
        self._desks = list(desks)
        self._tell = tell
        self._first = first
        self._lock = asyncio.Lock()
        self._told_losses: set[str] = set()

    def switch(self) -> None:
        """Review the next desk from now on."""
        self.desk = self.next_desk

    @property
    def next_desk(self) -> Desk:
        """The one after this one, after the last the first."""
        return self._desks[(self._desks.index(self.desk) + 1) % len(self._desks)]

    def show(self, desk: Desk) -> None:
        """Review `desk` from now on, and have it among those that can be switched to."""
        if desk not in self._desks:
            self._desks.append(desk)
        self.desk = desk

    def replace(self, desk: Desk) -> None:
        """Review `desk` from now on, in the place of the one that is reviewed now."""
        self._desks[self._desks.index(self.desk)] = desk
        self.desk = desk

    def put_away(self, desk: Desk) -> None:
        """There is no such desk any more."""
        if desk in self._desks:
            self._desks.remove(desk)
        if self.desk is desk:
            self.desk = self._desks[0]

    async def run(self, ask: Callable[[], Result]) -> Result:
        """Run `ask` in a thread when all that was begun before is done. Raises what `ask` raises."""
        async with self._lock:
            return await asyncio.to_thread(ask)

    async def decide(self, decision: Decision | None) -> Reading | None:
        """Take `decision`, if there is one, and read what there is now. None if there is nothing new to show:
        the decision was refused without a reason to show beside the hunks, or nothing could be read."""
        was_refused = False
        async with self._lock:
            desk = self.desk
            try:
                if decision is not None:
                    said = await asyncio.to_thread(decision)
                    if said:
                        self._tell(said, False)
            except TidegateError as error:
                self._tell(str(error), True)
                was_refused = True
            if was_refused and not desk.misfits():
                return None
            try:
                first, self._first = self._first, None
                changes = first if first is not None else await asyncio.to_thread(desk.changes)
                remarks = await asyncio.to_thread(self._remarks)
                seen = await asyncio.to_thread(desk.seen)
                self._tell_losses()
            except TidegateError as error:
                self._tell(str(error), True)
                return None
        return Reading(desk, changes, remarks, seen, was_refused)

    def _remarks(self) -> Sequence[Remark]:
        return (*self.port.comments(), *self.port.remarks.all())

    def _tell_losses(self) -> None:
        new = [loss for loss in self.port.losses() if loss not in self._told_losses]
        self._told_losses.update(new)
        if new:
            more = f" (and {len(new) - _MOST_LOSSES} more)" if len(new) > _MOST_LOSSES else ""
            self._tell(" ".join(new[:_MOST_LOSSES]) + more, True)
