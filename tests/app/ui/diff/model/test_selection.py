"""Selecting lines of a diff, without a screen."""

from app.ui.diff.model.diff_model import DiffModel
from app.ui.diff.model.selection import LineSelection
from tests.support.review.diffs import changes_of, decided

BEFORE = "one\ntwo\nthree\nfour\n"
AFTER = "one\n2\nmore\nthree\nfour\n"
(CHANGE,) = changes_of({"a.txt": (BEFORE, AFTER)})


def selecting(width: int) -> tuple[DiffModel, LineSelection, int, int]:
    """A model and a selection from the first changed line to the last."""
    model = DiffModel()
    model.set_changes((CHANGE,), (), {})
    model.arrange(width)
    changed = [
        row
        for row in range(model.rows.row_count)
        if (line := model.line_at(row)) is not None and line.kind != "context"
    ]
    selection = LineSelection(model)
    selection.cycle(changed[0])
    return model, selection, changed[0], changed[-1]


def chosen(selection: LineSelection, cursor: int) -> list[str]:
    return [part.hunk.lines[n].text for part in selection.parts(cursor) for n in sorted(part.lines or ())]


def test_unified_lines_are_selected_from_the_anchor_to_the_cursor_and_then_none() -> None:
    _, selection, first, last = selecting(80)
    assert chosen(selection, last) == ["two", "2", "more"]
    assert chosen(selection, first) == ["two"]
    assert selection.text(last + 1) == "two\n2\nmore\nthree"
    assert list(selection.rows(first - 1)) == [first - 1, first], "also upwards"
    selection.cycle(last)
    assert not selection.is_active
    assert not selection.parts(last)


def test_side_by_side_both_sides_are_selected_then_the_new_one_then_the_old_one() -> None:
    _, selection, first, last = selecting(150)
    assert chosen(selection, last) == ["two", "2", "more"]
    selection.cycle(last)
    assert chosen(selection, last) == ["2", "more"]
    assert selection.holds(first, last, is_left=False)
    assert not selection.holds(first, last, is_left=True)
    selection.cycle(last)
    assert chosen(selection, last) == ["two"]
    selection.cycle(last)
    assert not selection.leave()


def test_a_drag_selects_the_side_that_was_pressed() -> None:
    model, selection, first, last = selecting(150)
    for is_left, texts in ((True, ["two"]), (False, ["2", "more"])):
        selection.marks_left = is_left
        selection.drag_from(first)
        assert chosen(selection, last) == texts
    # From a heading on, whole rows are meant.
    selection.drag_from(model.rows.row_of_hunk(CHANGE.hunks[0].id) or 0)
    assert chosen(selection, last) == ["two", "2", "more"]


def test_what_is_decided_is_not_decided_again() -> None:
    model, selection, _, last = selecting(80)
    model.set_changes((decided(CHANGE, "kept"),), (), {})
    assert not selection.parts(last)


def test_where_nothing_is_shown_nothing_is_selected() -> None:
    model = DiffModel()
    model.arrange(80)
    selection = LineSelection(model)
    selection.cycle(0)
    assert not selection.is_active and not selection.parts(0)
