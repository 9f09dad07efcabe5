"""Text in rows of words: every character is there, in any width that a pane can be made."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app.ui.drawing.text import wrap, wrapped


@given(st.text(alphabet="ab 漢é-", max_size=30), st.integers(-6, 12))
def test_rows_fit_and_hold_all_that_is_no_space(text: str, width: int) -> None:
    rows = wrap(text, width)
    assert all(cell_len(row) <= max(2, width) for row in rows)
    assert "".join(rows).replace(" ", "") == text.replace(" ", "")
    starts = wrapped(text, width).starts
    assert list(starts) == sorted(set(starts)) and (not text or starts[-1] < len(text))
