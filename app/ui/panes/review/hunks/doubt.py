"""Where the model hesitated when it wrote the hunks: words in their headings, tinted lines, and a way by it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.agent.hunks.doubt import DOUBTFUL, LineDoubt, doubt_of
from app.agent.hunks.written import written_lines
from app.errors import TidegateError
from app.review.model import FileChange, Hunk, WrittenBy
from app.ui.diff.model.labels import Label
from app.ui.diff.view import DiffView
from app.ui.panes.review.desk_work import DeskWork


@dataclass(frozen=True, slots=True)
class Doubts:
    """The doubtful lines, as (hunk's id, index of the line), the most doubtful first."""

    lines: tuple[tuple[str, int], ...] = ()

    @property
    def by_hunk(self) -> Mapping[str, frozenset[int]]:
        """The indices of the lines by their hunk's id."""
        found: dict[str, set[int]] = {}
        for name, index in self.lines:
            found.setdefault(name, set()).add(index)
        return {name: frozenset(indices) for name, indices in found.items()}

    @property
    def labels(self) -> Mapping[str, Label]:
        """What the headings say."""
        return {
            name: Label(f"{len(lines)} doubtful line{'' if len(lines) == 1 else 's'}", "warning")
            for name, lines in self.by_hunk.items()
        }

    def next(self, here: tuple[str, int] | None, step: int) -> tuple[str, int] | None:
        """The line after (1) or before (-1) `here` by doubt; the most doubtful where `here` is none of them.
        None at either end."""
        if here not in self.lines:
            return self.lines[0] if self.lines else None
        at = self.lines.index(here) + step
        return self.lines[at] if 0 <= at < len(self.lines) else None


class Doubting:
    """The doubtful lines of what is reviewed in `view`: found, painted, gone through."""

    def __init__(self, view: DiffView, work: DeskWork, root: Path) -> None:
        self._view = view
        self._work = work
        self._root = root
        self._known: dict[tuple[str, str], list[LineDoubt]] = {}
        self._of_hunks: dict[str, tuple[Hunk, list[tuple[float, int]]]] = {}
        self._found = Doubts()
        self.is_on = False
        """Whether doubtful lines are tinted and gone through."""

    async def find(self, changes: Sequence[FileChange]) -> None:
        """Look for the doubtful lines of `changes`, which are shown."""
        work = self._work

        def read() -> Doubts:
            return self._read(changes, work.port.written.by() if not work.desk.source else {})

        # What cannot be read is no doubt; why it cannot is told where the review itself is read.
        with suppress(TidegateError):
            self._found = await work.run(read)
            self._paint()

    def switch(self) -> str:
        """Tint and go by doubt, or not; returns what there is to say of it."""
        self.is_on = not self.is_on
        self._paint()
        if not self.is_on:
            return "Doubt is off."
        lines = len(self._found.lines)
        if not lines:
            return "No line here is known to be doubtful. Only our own engine tells."
        return (
            f"{lines} doubtful line{'' if lines == 1 else 's'}: n goes to the most doubtful, and on from there."
        )

    def step(self, step: int) -> bool:
        """Go to the next (1) or previous (-1) line by doubt. False if there is none."""
        view, model = self._view, self._view.model
        place, hunk = model.row(view.cursor_row), view.current_hunk
        here = (hunk.id, place.left or 0) if place is not None and hunk is not None else None
        if place is not None and place.kind == "line" and model.split and hunk is not None:
            here = (hunk.id, place.right or 0)
        target = self._found.next(here if place is not None and place.kind == "line" else None, step)
        return target is not None and view.go_to_line(*target)

    def _paint(self) -> None:
        self._view.model.labels.put("doubt", self._found.labels)
        self._view.model.doubtful = self._found.by_hunk if self.is_on else {}
        self._view.refresh()

    def _read(self, changes: Sequence[FileChange], writers: Mapping[str, tuple[WrittenBy, ...]]) -> Doubts:
        """The doubtful lines of hunks, of which `writers` says who wrote them. Blocks on the disk."""
        calls_now = {(one.session, one.call) for of in writers.values() for one in of if one.call}
        if calls_now:  # none while something else is looked at, after which the same ones are asked for again
            self._known = {call: lines for call, lines in self._known.items() if call in calls_now}
        wanted: dict[str, set[str]] = {}
        for session, call in calls_now - self._known.keys():
            wanted.setdefault(session, set()).add(call)
        for session, calls in wanted.items():
            lines = written_lines(self._root, session, sorted(calls))
            self._known.update({(session, call): lines.get(call, []) for call in calls})
        found: list[tuple[float, str, int]] = []
        before, self._of_hunks = self._of_hunks, {}
        for hunk in (hunk for change in changes for hunk in change.hunks if hunk.decision != "rejected"):
            known = before.get(hunk.id)
            if known is None or known[0] is not hunk:
                known = (hunk, self._of(hunk, writers.get(hunk.id, ())))
            self._of_hunks[hunk.id] = known
            found += [(probability, hunk.id, index) for probability, index in known[1]]
        return Doubts(tuple((name, index) for _, name, index in sorted(found)))

    def _of(self, hunk: Hunk, writers: tuple[WrittenBy, ...]) -> list[tuple[float, int]]:
        """The doubtful lines of a hunk: probability and index."""
        found: list[tuple[float, int]] = []
        for one in writers:
            written = self._known.get((one.session, one.call), [])
            added = [hunk.lines[index].text for index in one.lines]
            for index, doubt in zip(one.lines, doubt_of(written, added), strict=True):
                if doubt is not None and doubt.probability < DOUBTFUL:
                    found.append((doubt.probability, index))
        return found
