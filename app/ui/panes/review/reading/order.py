"""Going through the hunks in an order of reading: the agent's, or definitions before uses."""

import asyncio
from collections.abc import Collection, Sequence
from functools import partial

from textual.widget import Widget

from app.errors import TidegateError
from app.review.desks.desk import Desk
from app.review.model import FileChange, Remark
from app.review.reading.order import default_order, facts_of, next_in, proposed_order
from app.review.remarks.model import ReadingOrder
from app.ui.background import begin_again
from app.ui.diff.view import DiffView
from app.ui.panes.review.desk_work import DeskWork


class ReadingThrough:
    """Whether the next hunk is that of an order of reading, and that order, which `widget` has found."""

    def __init__(self, widget: Widget, view: DiffView, work: DeskWork) -> None:
        self._widget = widget
        self._view = view
        self._work = work
        self._order: Sequence[str] = ()
        self._remarks: Sequence[Remark] = ()
        self.is_on = False

    def switch(self) -> None:
        """Follow the order from here on, or go by the files again."""
        self.is_on = not self.is_on
        if self.is_on:
            begin_again(self._widget, "order", partial(self._find, tells=True))
        else:
            self._widget.app.notify("The next hunk is the next one of the file again.", timeout=3)

    def look(self, changes: Sequence[FileChange], remarks: Sequence[Remark]) -> None:
        """These changes are shown now, and this was said."""
        self._remarks = remarks
        if self.is_on and changes:
            begin_again(self._widget, "order", partial(self._find, tells=False))

    def step(self, step: int) -> None:
        """To the next (1) or previous (-1) hunk in the order."""
        here = self._view.current_hunk
        name = next_in(self._order, here.id if here is not None else "", step)
        if name is None:
            end = "last" if step > 0 else "first"
            self._widget.app.notify(f"This is the {end} hunk of the order.", timeout=3)
        else:
            self._view.go_to_hunk(name)

    def after(self, decided: Collection[str]) -> str | None:
        """The undecided hunk that follows those that are being decided; None if there is none."""
        pending = {
            hunk.id
            for change in self._view.model.changes
            for hunk in change.hunks
            if hunk.decision == "pending" and hunk.id not in decided
        }
        last = max((place for place, name in enumerate(self._order) if name in decided), default=-1)
        here = self._order[last] if last >= 0 else ""
        return next_in(self._order, here, 1, pending) or next_in(self._order, "", 1, pending)

    async def _find(self, *, tells: bool) -> None:
        changes, desk = self._view.model.changes, self._work.desk
        newest = next((one for one in reversed(self._remarks) if isinstance(one, ReadingOrder)), None)
        proposed = newest.text.split("\n") if newest is not None and not desk.source else []
        try:
            self._order = await asyncio.to_thread(_order, desk, changes, proposed)
        except (TidegateError, OSError) as error:
            self._widget.app.notify(str(error), severity="error", timeout=8)
            return
        if tells:
            first = self.after(()) or next(iter(self._order), None)
            if first is not None:
                self._view.go_to_hunk(first)
            whose = "the agent's order" if proposed else "definitions before uses, tests beside what they test"
            self._widget.app.notify(f"This is the first hunk to read in {whose}.", timeout=4)


def _order(desk: Desk, changes: Sequence[FileChange], proposed: Sequence[str]) -> list[str]:
    """Blocks on the disk."""
    from app.workspace.search.symbols import symbols_of  # noqa: PLC0415  the parsers are rarely needed

    facts = []
    for change in changes:
        data = "\n".join(desk.lines(change)).encode("utf-8", "surrogateescape")
        symbols = [(symbol.line, symbol.name) for symbol in symbols_of(change.path, data)]
        facts += [facts_of(change.path, hunk, symbols) for hunk in change.hunks]
    order = default_order(facts)
    return proposed_order(proposed, facts, order) if proposed else order
