"""Searching and replacing while a file is written in."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.document._document import Selection
from textual.message import Message
from textual.widgets import Input, Static

from app.editing.errors import BadSearch
from app.editing.search import MOST_MATCHES, Found, Query, find, replaced
from app.ui.keys.actions import bindings
from app.ui.panes.editor.area import EditorArea
from app.ui.widgets.line_input import LineInput


class SearchBar(Vertical):
    """Below the text: what is looked for, what is put in its place, and how often it is there."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("search"))

    class Left(Message):
        """The bar was closed."""

    def __init__(self) -> None:
        super().__init__(id="search")
        self._query = LineInput(placeholder="Find", id="search-query", compact=True)
        self._new = LineInput(placeholder="Replace by", id="search-replacement", compact=True)
        self._count = Static("", id="search-count", markup=False)
        self._area: EditorArea | None = None
        self._is_regex = self._is_exact = False
        self._found: Sequence[Found] = ()
        self._trouble = ""
        self.display = False

    def compose(self) -> ComposeResult:
        with Horizontal(classes="search-row"):
            yield self._query
            yield self._count
        yield self._new

    @property
    def is_open(self) -> bool:
        """Whether the bar is shown."""
        return bool(self.display)

    def open(self, area: EditorArea, *, replaces: bool) -> None:
        """Search in `area`, beginning with what is selected there."""
        self._area = area
        self.display = True
        self._new.display = replaces
        chosen = area.selected_text
        if chosen and "\n" not in chosen and not self._is_regex:
            self._query.value = chosen
        self._query.focus()
        self._query.select_all()
        self._search(moves=False)

    def close(self) -> bool:
        """Hide the bar. False if it was hidden."""
        if not self.display:
            return False
        self.display = False
        if self._area is not None:
            self._area.show_matches(())
        self.post_message(self.Left())
        return True

    # Searching.

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._search(moves=event.input is self._query)

    def _search(self, *, moves: bool) -> None:
        """Find everything anew, and go to the first match from where the selection begins."""
        if self._area is None or not self.display:
            return
        query = Query(self._query.value, self._is_regex, self._is_exact)
        self._trouble = ""
        try:
            self._found = find(self._area.lines, query, self._new.value if self._new.display else "")
        except BadSearch as error:
            self._found, self._trouble = (), str(error)
        self._area.show_matches(self._found)
        if moves and self._found:
            start = min(self._area.selection)
            self._go(next((match for match in self._found if match.start >= start), self._found[0]))
        self._say()

    def _go(self, match: Found) -> None:
        if self._area is not None:
            self._area.selection = Selection(match.start, match.end)
            self._area.scroll_cursor_visible(center=True)
        self._say()

    @property
    def _here(self) -> int | None:
        """Which match is selected."""
        place = tuple(sorted(self._area.selection)) if self._area is not None else ()
        return next((at for at, match in enumerate(self._found) if (match.start, match.end) == place), None)

    def _say(self) -> None:
        total = len(self._found)
        count = f"{total:,}" if total < MOST_MATCHES else f"{total:,} or more"
        here = self._here
        said = f"{here + 1:,} of {count}" if here is not None else (f"{count} found" if total else "not found")
        if not self._query.value:
            said = ""
        how = [word for word, is_on in (("regex", self._is_regex), ("exact case", self._is_exact)) if is_on]
        self._count.update(" · ".join([*how, self._trouble or said]).strip(" ·"))
        self._count.set_class(bool(self._trouble) or (not total and bool(self._query.value)), "failed")

    def step(self, step: int) -> None:
        """Go to the next match, or the one before, around the end."""
        if self._area is None:
            return
        if not self._found:
            self._search(moves=True)
            return
        start, end = sorted(self._area.selection)
        if step > 0:
            after = (match for match in self._found if match.start >= end and match.start != start)
            self._go(next(after, self._found[0]))
        else:
            before = (match for match in reversed(self._found) if match.start < start)
            self._go(next(before, self._found[-1]))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input is self._query:
            self.step(1)
        else:
            self.action_replace()

    def action_next(self) -> None:
        self.step(1)

    def action_previous(self) -> None:
        self.step(-1)

    def action_regex(self) -> None:
        self._is_regex = not self._is_regex
        self._search(moves=False)

    def action_case(self) -> None:
        self._is_exact = not self._is_exact
        self._search(moves=False)

    def action_other_field(self) -> None:
        if self._query.has_focus:
            self._new.display = True
            self._new.focus()
        else:
            self._query.focus()

    # Replacing.

    def action_replace(self) -> None:
        """Replace the match that is selected, and go to the next; if none is, only go there."""
        here = self._here
        if self._area is None or not self._new.display or here is None:
            self.step(1)
            return
        match = self._found[here]
        self._area.put(match.new, match.start, match.end)
        self._search(moves=False)
        self.step(1)

    def action_replace_all(self) -> None:
        """Replace all matches, as one step of undoing."""
        if self._area is None or not self._new.display or not self._found:
            return
        found = self._found
        self._area.put(replaced(self._area.lines, found), found[0].start, found[-1].end)
        self._search(moves=False)
        self.app.notify(f"Replaced {len(found):,} {'match' if len(found) == 1 else 'matches'}.", timeout=3)

    def action_leave(self) -> None:
        self.close()
