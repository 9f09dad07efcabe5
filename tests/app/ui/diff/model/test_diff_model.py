"""Rows, folding, search and the places of a diff, without a screen."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.review.model import Comment, DiffLine, FileChange, Hunk, Remark
from app.review.remarks.model import Answer, Note
from app.ui.diff.model.diff_model import DiffModel
from app.ui.diff.model.layout import DiffLayout
from app.ui.diff.model.pending import first_new, next_pending, pending_parts
from app.ui.diff.model.rows import Shapes
from tests.support.review.diffs import changes_of, decided

BEFORE = "".join(f"line {number}\n" for number in range(1, 61))
AFTER = BEFORE.replace("line 5\n", "line five\nand more\n").replace("line 40\n", "line  40\n")
CHANGES = changes_of({"a.txt": (BEFORE, AFTER), "b.txt": ("one\n", "two\n")})
UNIFIED, SPLIT = 100, 150  # cells of width


def modelled(*changes: FileChange, width: int = UNIFIED, comments: tuple[Remark, ...] = ()) -> DiffModel:
    model = DiffModel()
    model.set_changes(changes or CHANGES, comments, {})
    model.arrange(width)
    return model


def texts(model: DiffModel, *, is_left: bool = False) -> list[str]:
    return [model.text_at(row, is_left=is_left) for row in range(model.rows.row_count)]


@given(
    st.lists(st.lists(st.sampled_from(["context", "removed", "added"]), max_size=6), max_size=4), st.booleans()
)
def test_every_line_of_a_diff_has_its_row(hunks: list[list[str]], split: bool) -> None:
    made = tuple(
        Hunk(f"h{n}", 1, 1, 1, 1, tuple(DiffLine(kind, "x", 1, 1) for kind in kinds))  # type: ignore[arg-type]
        for n, kinds in enumerate(hunks)
    )
    layout = DiffLayout([FileChange("a", "modified", made)] if made else [], Shapes(), split=split)
    rows = [layout.row(number) for number in range(layout.row_count)]
    for number, kinds in enumerate(hunks):
        seen = {
            index
            for row in rows
            if row.kind == "line" and row.hunk == number
            for index in (row.left, row.right)
        }
        assert seen - {None} == set(range(len(kinds)))


def test_side_by_side_and_unified_keep_the_line() -> None:
    model = modelled(width=SPLIT)
    for row in range(model.rows.row_count):
        place, hunk, line = model.row(row), model.hunk_at(row), model.line_at(row)
        assert place is not None
        assert hunk is not None
        for _ in range(2):
            model.switch_arrangement()
            model.arrange(SPLIT)
            if place.kind != "gap":
                again = model.row_like(place, hunk)
                assert again is not None
                assert (model.hunk_at(again), model.line_at(again)) == (hunk, line)


def test_it_is_unified_where_the_columns_would_be_too_narrow() -> None:
    model = modelled(width=SPLIT)
    model.arrangement = "split"
    for width in range(60, 120):
        model.arrange(width)
        assert model.split == ((width - 1) // 2 - (1 + model.number_width + 3) >= 40)
        assert model.lacks_columns != model.split
    model.switch_arrangement()
    assert (model.arrangement, model.lacks_columns) == ("unified", False)


@pytest.mark.parametrize("width", [UNIFIED, SPLIT])
def test_the_file_around_a_hunk_is_shown_up_to_its_neighbours(width: int) -> None:
    model = modelled(width=width)
    change = model.changes[0]
    lines = AFTER.removesuffix("\n").split("\n")
    assert model.around.extend(change, change.hunks[0], lines)
    model.arrange(width)
    rows = [model.rows.row(row) for row in range(model.rows.row_count)]
    extra = [row for row in rows if row.kind == "extra"]
    # The hunk shows lines 2 to 8; the file has line 1 above and 20 more below, moved by the line added.
    assert [(row.left, row.right) for row in extra] == [(1, 1), *((n, n + 1) for n in range(9, 29))]
    assert [model.texts.file_line(row) for row in extra] == ["line 1", *(f"line {n}" for n in range(9, 29))]
    model.around.extend(change, change.hunks[0], lines)
    model.around.extend(change, change.hunks[0], lines)
    model.arrange(width)
    numbers = [row.right for row in map(model.rows.row, range(model.rows.row_count)) if row.kind == "extra"]
    assert numbers == [1, *range(10, 38)], "where the next hunk begins, no line is shown twice"
    assert not model.around.extend(change, change.hunks[0], ["another", "file"])


def test_the_search_goes_around_and_opens_what_is_folded() -> None:
    model = modelled()
    model.fold(0)
    model.arrange(UNIFIED)
    assert "line  40" not in texts(model)
    model.query_text = "LINE  40".lower()
    ((file, hunk, index),) = model.lines_with(model.query_text, 0, backwards=False, from_row=True)
    assert model.match_in(file, hunk, index) is None
    model.unfold(file, hunk)
    model.arrange(UNIFIED)
    match = model.match_in(file, hunk, index)
    assert match is not None
    assert model.text_at(match.row, is_left=False) == "line  40"
    assert (match.left, match.right) == (0, 8)
    assert not list(model.lines_with("LINE", 0, backwards=False, from_row=True)), "a capital means itself"
    here = (file, hunk, index)
    onwards = list(model.lines_with("line 4", match.row, backwards=False, from_row=False))
    back = list(model.lines_with("line 4", match.row, backwards=True, from_row=False))
    ends = [next(number for number, place in enumerate(way) if place[1] != hunk) for way in (onwards, back)]
    assert all(place > here for place in onwards[: ends[0]])
    assert all(place < here for place in back[: ends[1]])
    assert onwards[ends[0]][:2] == back[ends[1]][:2] == (0, 0), "around the end"


def test_hunks_of_white_space_alone_are_hidden_and_can_be_opened() -> None:
    model = modelled()
    model.switch_space()
    model.arrange(UNIFIED)
    assert "line  40" not in texts(model)
    assert "and more" in texts(model)
    row = model.rows.row_of_hunk(CHANGES[0].hunks[1].id)
    assert row is not None
    model.fold(row)
    model.arrange(UNIFIED)
    assert "line  40" in texts(model)


def test_the_cursor_stays_at_its_hunk_or_near_it_when_the_changes_are_others() -> None:
    model = modelled()
    change, hunk = CHANGES[0], CHANGES[0].hunks[1]
    edited = changes_of({"a.txt": (BEFORE, AFTER.replace("line  40", "edited")), "b.txt": ("one\n", "two\n")})
    model.set_changes(edited, (), {})
    model.arrange(UNIFIED)
    near = model.row_near(change, hunk, 3)
    assert near is not None
    assert model.hunk_at(near) == edited[0].hunks[1]
    model.set_changes(CHANGES[1:], (), {})
    model.arrange(UNIFIED)
    assert model.row_near(change, hunk, 3) is None
    # A decided hunk is folded, and here the last row.
    model.set_changes((decided(change, "pending", "kept"),), (), {})
    model.arrange(UNIFIED)
    assert model.row_near(change, hunk, 3) == model.rows.row_of_hunk(hunk.id) == model.rows.row_count - 1


def test_comments_are_under_their_lines() -> None:
    comment = Comment(7, "a.txt", 5, "line five", "Why?\nSay.")
    for width in (UNIFIED, SPLIT):
        model = modelled(width=width, comments=(comment,))
        row = model.row_of_remark(comment)
        assert row is not None
        assert model.remark_at(row) == model.remark_at(row + 1) == comment
        assert model.text_at(row - 1, is_left=False) == "line five"
        assert model.rows.remark_rows == [row]
    model.set_changes(CHANGES, (replace(comment, line=20, quoted="line 20"),), {})
    model.arrange(UNIFIED)
    assert model.row_of_remark(comment) is None, "its line is in no hunk"


def test_remarks_are_wrapped_between_words_and_folded_by_themselves() -> None:
    hunk = CHANGES[0].hunks[0]
    line = ("a.txt", 5, "line five")
    comment = Comment(7, *line, "Why?", hunk=hunk.id)
    other = Comment(8, *line, "And this?", hunk=hunk.id)
    answer = Answer(1, *line, "because " * 20, hunk=hunk.id, question="What for?")
    reply = Note(2, *line, "Mended.", hunk=hunk.id, comment=7, is_done=True)
    heading = Note(3, "a.txt", 0, "", "Counts from one.", hunk=hunk.id)
    model = modelled(comments=(other, comment, reply, answer, heading), width=60)
    in_order = [heading, comment, reply, other, answer]
    assert [model.remark_at(row) for row in model.rows.remark_rows] == in_order
    rows = model.rows.remark_rows
    last = rows[-1]
    assert rows[0] == (model.rows.row_of_hunk(hunk.id) or 0) + 1
    said = [row.text for row in model.rows.shape(hunk).remarks if row.remark == answer]
    room = 60 - model.gutter_width - 1
    assert len(said) > 3 and all(len(text) <= room and text.startswith(("because", "What")) for text in said)
    below = [text.text for text in hunk.lines].index("line five") + 1

    def fold(row: int) -> int | None:
        model.fold(row)
        model.arrange(60)
        return model.rows.row_of_line(0, 0, below)

    unfolded = last + len(said)
    assert model.rows.row_of_line(0, 0, below) == unfolded
    assert fold(last) == last + 1
    assert [row.hidden for row in model.rows.shape(hunk).remarks if row.remark == answer] == [len(said) - 1]
    assert fold(last) == unfolded
    assert fold(rows[1]) is None, "a remark of one row folds its hunk"


def test_a_decision_leads_to_the_next_undecided_hunk() -> None:
    first, second, other = [hunk.id for change in CHANGES for hunk in change.hunks]
    assert next_pending(CHANGES, frozenset({first})) == second
    assert next_pending(CHANGES, frozenset({other})) == first
    half = (decided(CHANGES[0], "kept", "pending"), CHANGES[1])
    assert next_pending(half, frozenset({other})) == second
    assert next_pending(half, frozenset({second, other})) is None
    assert [part.hunk.id for part in pending_parts(half[0])] == [second]
    # Undone, the hunk that is undecided again is where to look.
    assert first_new(half, CHANGES) == first
    assert first_new(CHANGES, CHANGES) is None
