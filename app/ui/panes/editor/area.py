"""The text that is written in: Textual's text area, with the viewer's colours, a gutter and guides."""

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.document._document import Location, Selection
from textual.document._document_navigator import DocumentNavigator
from textual.message import Message
from textual.strip import Strip
from textual.widgets import TextArea
from textual.widgets.text_area import Edit, EditResult
from typing_extensions import override

from app.editing.brackets import matching_bracket
from app.editing.comments import marks_for, toggled
from app.editing.indentation import (
    Indentation,
    closes_block,
    guides,
    indentation_of,
    indented,
    new_line,
    outdented,
)
from app.editing.search import Found
from app.ui.drawing.gutter import GUIDE, gutter, gutter_width
from app.ui.drawing.palette import Palette
from app.ui.drawing.syntax import LazySyntax, lexer_for_path
from app.ui.drawing.text import with_signs
from app.ui.keys.actions import in_scope
from app.ui.keys.keymap import keys_of
from app.ui.panes.editor.document import LineDocument, WrappedLines
from app.ui.widgets.edited_text import EditedText
from app.ui.widgets.gutter_signs import GutterSigns
from app.workspace.files.line_endings import in_common

_MOST_UNDONE = 10_000  # steps back

# What moves the cursor and deletes beside it. Those without a name in the table of actions.
_KEYS = {
    "up": "cursor_up",
    "down": "cursor_down",
    "left": "cursor_left",
    "right": "cursor_right",
    "shift+up": "cursor_up(True)",
    "shift+down": "cursor_down(True)",
    "shift+left": "cursor_left(True)",
    "shift+right": "cursor_right(True)",
    "ctrl+left,alt+left": "cursor_word_left",
    "ctrl+right,alt+right": "cursor_word_right",
    "ctrl+shift+left,alt+shift+left": "cursor_word_left(True)",
    "ctrl+shift+right,alt+shift+right": "cursor_word_right(True)",
    "home,ctrl+a": "line_start",
    "end,ctrl+e": "cursor_line_end",
    "shift+home": "line_start(True)",
    "shift+end": "cursor_line_end(True)",
    "ctrl+home": "document_start",
    "ctrl+end": "document_end",
    "pageup": "cursor_page_up",
    "pagedown": "cursor_page_down",
    "enter,ctrl+j": "new_line",
    "backspace,ctrl+h": "delete_left",
    "delete": "delete_right",
    "ctrl+w,ctrl+backspace,alt+backspace": "delete_word_left",
    "alt+delete": "delete_word_right",
    "ctrl+u,super+backspace": "delete_to_start_of_line",
}


class EditorArea(EditedText, GutterSigns, inherit_bindings=False):
    """One file's text. What its keys do to it is here; what they do beyond it, its pane does."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(keys, action, show=False) for keys, action in _KEYS.items()
    ]

    class Written(Message):
        """The text is another."""

        def __init__(self, area: "EditorArea") -> None:
            super().__init__()
            self.area = area

    class Wanted(Message):
        """A key asked for something that concerns more than the text: a handler of the pane's."""

        def __init__(self, handler: str) -> None:
            super().__init__()
            self.handler = handler

    def __init__(self, text: str, name: str) -> None:
        self._palette: Palette | None = None
        self._file_name = name
        self._syntax = LazySyntax(None, 0, self._shown)
        self._first_changed: int | None = None
        self._matches: dict[int, list[tuple[int, int]]] = {}
        self.indentation = Indentation()
        super().__init__(soft_wrap=False, tab_behavior="indent", compact=True, max_checkpoints=_MOST_UNDONE)
        self.cursor_blink = False
        self.indentation = indentation_of(text.split("\n"), name)
        self.indent_width = self.indentation.width
        self._set_document(text, None)
        self._syntax = LazySyntax(lexer_for_path(name), self.document.line_count, self._shown)

    @override
    def _set_document(self, text: str, language: str | None) -> None:
        self._highlight_query = None
        self.document = LineDocument(text)
        self.wrapped_document = WrappedLines(self.document, tab_width=self.indent_width)
        self.navigator = DocumentNavigator(self.wrapped_document)
        self._build_highlight_map()
        self.move_cursor((0, 0))
        self._rewrap_and_refresh_virtual_size()

    @property
    def lines(self) -> Sequence[str]:
        """The text's lines; an empty last one where it ends in a newline."""
        return self.document.lines

    # Keys.

    async def _on_key(self, event: events.Key) -> None:
        # At once and not by a binding, which would be found only after keys that were typed later.
        handler = self._handler_of(event.key)
        if handler is not None:
            event.stop()
            event.prevent_default()
            if hasattr(self, f"action_{handler.partition('(')[0]}"):
                await self.run_action(handler)
            else:
                self.post_message(self.Wanted(handler))
        elif event.is_printable and event.character and self._closes(event.character):
            event.stop()
            event.prevent_default()
            row, column = self.cursor_location
            line = outdented([self.document.get_line(row)[:column]], self.indentation)[0]
            self.put(line + event.character, (row, 0), (row, column))

    def _handler_of(self, key: str) -> str | None:
        keymap = getattr(self.app, "user_keymap", {})
        for action in in_scope("editor"):
            if key in keys_of(action.id, keymap):
                return action.handler
        found = self._bindings.key_to_bindings.get(key)
        return found[0].action if found else None

    def _closes(self, character: str) -> bool:
        row, column = self.cursor_location
        return self.selection.is_empty and closes_block(self.document.get_line(row)[:column], character)

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        return self._handler_of(key) is not None or super().check_consume_key(key, character)

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.put(event.text.replace("\r\n", "\n").replace("\r", "\n"), *self.selection)

    def put(self, text: str, start: Location, end: Location) -> None:
        """Replace what stands between, as one step of undoing, with the cursor behind it."""
        self.history.checkpoint()
        self.edit(Edit(text, start, end, maintain_selection_offset=False))
        self.history.checkpoint()

    def action_line_start(self, select: bool = False) -> None:
        """To the first character that is no space; from there, to the beginning of the line."""
        row, column = self.cursor_location
        line = self.document.get_line(row)
        first = len(line) - len(line.lstrip())
        self.move_cursor((row, 0 if column == first else first), select=select)

    def action_document_start(self) -> None:
        self.move_cursor((0, 0))

    def action_document_end(self) -> None:
        self.move_cursor(self.document.end)

    def action_new_line(self) -> None:
        start, end = sorted(self.selection)
        before = self.document.get_line(start[0])[: start[1]]
        after = self.document.get_line(end[0])[end[1] :]
        inside, behind = new_line(before, after, self.indentation, self._file_name)
        self.put(inside + behind, start, end)
        if behind:
            row = self.cursor_location[0]
            self.move_cursor((row - 1, len(self.document.get_line(row - 1))), record_width=True)

    def action_indent(self) -> None:
        if self.selection.is_empty:
            row, column = self.cursor_location
            unit = self.indentation.unit
            if not self.indentation.is_tab:
                unit = " " * (
                    self.indentation.width - self.get_column_width(row, column) % self.indentation.width
                )
            self.put(unit, (row, column), (row, column))
        else:
            self._change_lines(lambda lines: indented(lines, self.indentation))

    def action_outdent(self) -> None:
        self._change_lines(lambda lines: outdented(lines, self.indentation))

    def action_comment(self) -> None:
        marks = marks_for(self._file_name)
        if marks is None:
            self.app.notify("How files of this kind mark comments is not known.", severity="warning")
        else:
            self._change_lines(lambda lines: toggled(lines, marks))

    def _selected_rows(self) -> range:
        (top, _), (bottom, right) = sorted(self.selection)
        # A selection that ends before a line's first character has nothing of that line.
        return range(top, bottom + (1 if right or top == bottom else 0))

    def _change_lines(self, change: Callable[[Sequence[str]], list[str]]) -> None:
        """Change the lines that are selected, whole; the selection stays on the same characters."""
        rows = self._selected_rows()
        old = list(self.document.lines[rows.start : rows.stop])
        new = change(old)
        if new == old:
            return
        selection = self.selection

        def moved(location: Location) -> Location:
            row, column = location
            if row not in rows:
                return location
            grown = len(new[row - rows.start]) - len(old[row - rows.start])
            return row, max(0, column + grown) if column or selection.is_empty else 0

        self.put("\n".join(new), (rows.start, 0), (rows.stop - 1, len(old[-1])))
        self.selection = Selection(moved(selection.start), moved(selection.end))

    def action_select_lines(self) -> None:
        """The whole line; again, one more."""
        start, end = sorted(self.selection)
        last = self.document.line_count - 1
        bottom = end[0] + 1
        below = (bottom, 0) if bottom <= last else self.document.end
        self.selection = Selection((start[0], 0), below)

    def action_select_all(self) -> None:
        self.selection = Selection((0, 0), self.document.end)

    # Content.

    @override
    def edit(self, edit: Edit) -> EditResult:
        self._changed_from(edit.top[0])
        return super().edit(edit)

    @override
    def _undo_batch(self, edits: Sequence[Edit]) -> None:
        self._changed_from(min(edit.top[0] for edit in edits))
        super()._undo_batch(edits)

    @override
    def _redo_batch(self, edits: Sequence[Edit]) -> None:
        self._changed_from(min(edit.top[0] for edit in edits))
        super()._redo_batch(edits)

    def _changed_from(self, row: int) -> None:
        self._first_changed = row if self._first_changed is None else min(row, self._first_changed)

    @override
    def _build_highlight_map(self) -> None:
        """Textual calls this after every change of the text."""
        self._line_cache.clear()
        if self._first_changed is not None:
            self._syntax.change_from(self._first_changed, self.document.line_count)
            self._first_changed = None
            self._matches = {}

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self.post_message(self.Written(self))

    def take(self, text: str) -> None:
        """Make `text` the content as one step that can be undone; the cursor stays on its line."""
        old, new = self.document.lines, text.split("\n")
        head = in_common(old, new)
        tail = in_common(old[head:][::-1], new[head:][::-1])
        if head == len(old) == len(new):
            return
        middle = new[head : len(new) - tail]
        if tail:
            start, end, put = (head, 0), (len(old) - tail, 0), "".join(f"{line}\n" for line in middle)
        elif head:
            start, end = (head - 1, len(old[head - 1])), self.document.end
            put = "".join(f"\n{line}" for line in middle)
        else:
            start, end, put = (0, 0), self.document.end, text
        row, column = self.cursor_location
        top = self.scroll_offset.y
        if row >= len(old) - tail:
            row, top = row + len(new) - len(old), top + len(new) - len(old)
        self.put(put, start, end)
        self.move_cursor(self.clamp_visitable((row, column)))
        self.scroll_to(y=max(0, top), animate=False, force=True)

    def show_from(self, row: int) -> None:
        """Scroll to `row`, as far as the cursor stays in view."""
        if not self.soft_wrap:
            # Sideways too: while it was laid out it was narrow, and scrolled to keep its cursor in view.
            self.scroll_to(0, row, animate=False, force=True)
        self.scroll_cursor_visible()

    def show_matches(self, found: Sequence[Found]) -> None:
        """Mark these until the text changes."""
        self._matches = {}
        for match in found:
            for row in range(match.start[0], match.end[0] + 1):
                start = match.start[1] if row == match.start[0] else 0
                end = match.end[1] if row == match.end[0] else len(self.document.get_line(row))
                self._matches.setdefault(row, []).append((start, end))
        self._line_cache.clear()
        self.refresh()

    @override
    def find_matching_bracket(self, bracket: str, search_from: Location) -> Location | None:
        return matching_bracket(self.document.lines, *search_from) if bracket else None

    # Drawing.

    @property
    def palette(self) -> Palette:
        """The theme's styles."""
        if self._palette is None:
            self._palette = Palette.of(self.app)
        return self._palette

    def notify_style_update(self) -> None:
        self._palette = None
        super().notify_style_update()

    @property
    @override
    def gutter_width(self) -> int:
        return gutter_width(self.document.line_count)

    def _shown(self, number: int) -> str:
        return with_signs(self.document.get_line(number))

    @override
    def get_line(self, line_index: int) -> Text:
        text = Text(self._shown(line_index), end="", no_wrap=True)
        syntax = self.palette.syntax
        for start, end, name in self._syntax.spans(line_index):
            text.stylize(syntax[name], start, end)
        for start, end in self._matches.get(line_index, ()):
            text.stylize(self.palette.match, start, end)
        return text

    @override
    def render_line(self, y: int) -> Strip:
        strip = super().render_line(y)
        row = self.scroll_offset.y + y
        places = self.wrapped_document._offset_to_line_info
        width = self.size.width
        if row >= len(places):
            return Strip([Segment(" " * width, self.palette.text)])
        number, part = places[row]
        is_current = number == self.cursor_location[0]
        segments = gutter(
            self.palette,
            self.marks,
            self.problems,
            number=number,
            part=part,
            count=self.document.line_count,
            is_current=is_current,
            has_focus=self.has_focus,
        )
        if not part:
            strip = self._with_guides(strip, number)
        return Strip([*segments, *strip]).crop_extend(0, width, self.palette.text)

    def _with_guides(self, strip: Strip, number: int) -> Strip:
        left, width = self.scroll_offset.x, strip.cell_length
        cells = [cell - left for cell in guides(self.document.lines, number, self.indentation)]
        here = self.cursor_location
        cursor = self.get_column_width(*here) - left if here[0] == number else -1
        cells = [cell for cell in cells if 0 <= cell < width and cell != cursor]
        if not cells:
            return strip
        return Strip(list(_laid_over(strip, cells, self.palette.faint)), width)


def _laid_over(strip: Strip, cells: Sequence[int], style: Style) -> Iterator[Segment]:
    """`strip` with a guide in each of these cells that is blank."""
    at = 0
    for segment in strip:
        text = segment.text
        done = 0
        if text.isascii():
            for cell in cells:
                place = cell - at
                if done <= place < len(text) and text[place] == " ":
                    yield Segment(text[done:place], segment.style)
                    yield Segment(GUIDE, (segment.style or Style()) + style)
                    done = place + 1
        yield Segment(text[done:], segment.style) if done else segment
        at += segment.cell_length
