"""Long lines in a review, broken into rows or scrolled sideways."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.geometry import Offset
from textual.selection import Selection

from app.review.diff.compare import file_change
from app.review.model import FileChange, FileImage
from app.ui import base
from app.ui.diff.view import DiffView
from app.ui.drawing.text import visible, wrapped
from app.ui.drawing.themes import DARK

LONG = "word " * 2_000
WIDE = "漢字かな" * 40
TABS = "\ta\tb\t" + "q" * 200
BEFORE = "short\n" + LONG + "old\n"
AFTER = "short\n" + "\n".join((LONG + "new needle", WIDE, TABS, "end")) + "\n"


class Viewing(App[None]):
    CSS_PATH = Path(base.__file__).with_name("styles.tcss")

    def __init__(self, changes: tuple[FileChange, ...]) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.theme = DARK.name
        self.view = DiffView(id="view")
        self._changes = changes

    def compose(self) -> ComposeResult:
        yield self.view

    def on_mount(self) -> None:
        self.view.set_changes(self._changes)
        self.view.focus()


def changes() -> tuple[FileChange, ...]:
    change = file_change("a.py", FileImage(BEFORE.encode()), FileImage(AFTER.encode()))
    assert change is not None
    return (change,)


@given(st.text(alphabet="ab \t漢é👍\u0301\x07", max_size=90), st.integers(2, 12))
def test_the_rows_of_a_line_fit_and_lose_nothing(text: str, width: int) -> None:
    rows = wrapped(visible(text), width)
    parts = [rows.text[slice(*rows.part(number))] for number in range(len(rows.starts))]
    assert "".join(parts) == visible(text)
    assert all(cell_len(part) <= width for part in parts)
    assert rows.part(len(rows.starts)) == (len(rows.text), len(rows.text))


@pytest.mark.parametrize("size", [(80, 24), (160, 40)], ids=["unified", "side by side"])
async def test_wrapped_lines_are_whole_numbered_once_and_found_copied_and_decided(
    size: tuple[int, int],
) -> None:
    async with Viewing(changes()).run_test(size=size) as pilot:
        view = pilot.app.query_one(DiffView)
        plain = view.row_count
        assert view.virtual_size.width > size[0]
        view.switch_wrap()
        await pilot.pause()
        assert view.row_count > plain + 100
        assert view.virtual_size.width <= size[0]
        rows = [view.model.rows.row(number) for number in range(view.row_count)]
        room = view.model.texts.room
        for index, line in enumerate(changes()[0].hunks[0].lines):
            is_left = view.model.split and line.kind == "removed"
            own = [
                number
                for number, row in enumerate(rows)
                if row.kind == "line" and index == (row.left if is_left or not view.model.split else row.right)
            ]
            texts = [view.model.text_at(number, is_left=is_left) for number in own]
            assert "".join(texts) == visible(line.text)
            assert all(cell_len(text) <= room for text in texts)
            # Drawn, no row is wider than the view, and only the first has the line's number.
            strips = [view.draw_row(number, view.room_width).text for number in own]
            assert all(cell_len(strip) == view.room_width for strip in strips)
            number = str(line.before_number if line.kind == "removed" else line.after_number)
            half = slice(0, size[0] // 2) if is_left else slice(size[0] // 2 if view.model.split else 0, None)
            numbered = [number in strip[half][: view.gutter_width + 1].split() for strip in strips]
            assert numbered == [True] + [False] * (len(own) - 1)
        # A match is found on the row that shows it, ten thousand characters on.
        assert view.find("needle")
        assert "needle" in view.row_text(view.cursor_row) + view.row_text(view.cursor_row + 1)
        assert view.current_diff_line is not None and view.current_diff_line.kind == "added"
        # A line is selected by any of its rows, and copied once.
        view.select()
        view.action_up()
        assert view.clean_text().count("needle") == 1
        ((part),) = view.parts_here()
        assert part.lines is not None and len(part.lines) >= 1
        view.leave_selection()
        # The mouse copies a wrapped line as one.
        found = view.model.rows.row_of_line(
            0, 0, next(n for n, line in enumerate(part.hunk.lines) if line.text == WIDE)
        )
        assert found is not None
        last = max(
            number
            for number, row in enumerate(rows)
            if (row.left, row.right) == (rows[found].left, rows[found].right)
        )
        copied = view.get_selection(Selection(Offset(0, found), Offset(10_000, last)))
        assert copied is not None and copied[0] == WIDE
        view.switch_wrap()
        await pilot.pause()
        assert view.row_count == plain


async def test_what_is_far_to_the_right_scrolls_into_view() -> None:
    async with Viewing(changes()).run_test(size=(80, 24)) as pilot:
        view = pilot.app.query_one(DiffView)
        assert view.find("needle")
        await pilot.pause()
        assert "needle" in view.draw_row(view.cursor_row, view.room_width).text
        assert view.find("short")
        await pilot.pause()
        assert view.scroll_offset.x == 0
