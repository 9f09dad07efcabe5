"""Moved lines and folded runs in the model of a diff view."""

import pytest

from app.review.diff.meaning.moves import find_moves
from app.review.diff.meaning.notes import notes_on
from app.review.model import FileChange
from app.ui.diff.model.diff_model import DiffModel
from app.ui.diff.model.parts import parts_of
from tests.support.review.diffs import changes_of

BEFORE = "def f(total):\n    return total\n\n\nx = f( 1 )\ny = 2\nz = 3\n"
AFTER = "def f(sum_of):\n    return sum_of\n\n\nx = f(1)\ny = 2\nz = 4\n"


def shown(changes: tuple[FileChange, ...], width: int = 80) -> DiffModel:
    model = DiffModel()
    model.set_changes(changes, (), {})
    model.meaning.know_moves(find_moves(changes))
    model.arrange(width)
    return model


def covered(model: DiffModel) -> list[int]:
    """The lines of the first hunk that are in some row, or in a folded run."""
    found: list[int] = []
    for number in range(model.rows.row_count):
        row = model.rows.row(number)
        if row.kind == "line":
            found += sorted({index for index in (row.left, row.right) if index is not None})
        elif row.kind == "run":
            run = model.rows.shape(model.hunk_of(row)).run_at(row.left)
            assert run is not None
            found += range(run.start, run.end)
    return found


@pytest.mark.parametrize("width", [80, 160])
def test_runs_fold_to_a_row_each_and_every_line_is_there(width: int) -> None:
    changes = changes_of({"a.py": (BEFORE, AFTER)})
    hunk = changes[0].hunks[0]
    model = shown(changes, width)
    model.meaning.know_notes(changes, notes_on([(changes[0], AFTER.splitlines())]))
    model.switch_notes()
    model.arrange(width)
    rows = [model.rows.row(number) for number in range(model.rows.row_count)]
    runs = [row for row in rows if row.kind == "run"]
    shape = model.rows.shape(hunk)
    assert [run.text for run in shape.runs] == ["renamed total to sum_of", "only reformatted"]
    assert sorted(covered(model)) == list(range(len(hunk.lines)))
    # What is folded is decided with the hunk; of a selection over all rows, the lines that are seen.
    (part,) = parts_of(changes, rows)
    assert part.lines == frozenset({len(hunk.lines) - 2, len(hunk.lines) - 1})
    model.fold(rows.index(runs[0]))
    model.arrange(width)
    assert "run" not in [model.rows.row(number).kind for number in range(model.rows.row_count)]
    assert sorted(covered(model)) == list(range(len(hunk.lines)))


def test_a_hunk_that_comes_to_a_note_is_its_heading_until_it_is_opened() -> None:
    after = "x = f(\n    1,\n)\n"
    changes = changes_of({"a.py": ("x = f( 1 )\n", after)})
    model = shown(changes)
    plain = model.rows.row_count
    model.meaning.know_notes(changes, notes_on([(changes[0], after.splitlines())]))
    model.switch_notes()
    model.arrange(80)
    assert model.rows.row_count == 2
    assert [label.text for label in model.labels.of(changes[0].hunks[0].id)] == ["only reformatted"]
    model.fold(1)
    model.arrange(80)
    assert model.rows.row_count == plain
    model.switch_notes()
    model.arrange(80)
    assert (model.rows.row_count, model.labels.of(changes[0].hunks[0].id)) == (plain, [])


def test_a_moved_block_is_told_in_both_headings_until_that_is_switched_off() -> None:
    moved = "".join(f"def function_{number}(): return {number}\n" for number in range(3))
    changes = changes_of({"a.py": (f"import os\n{moved}", "import os\n"), "b.py": ("x\n", f"x\n{moved}")})
    model = shown(changes)
    gone, come = (change.hunks[0] for change in changes)
    texts = [[label.text for label in model.labels.of(hunk.id)] for hunk in (gone, come)]
    assert texts == [["moved to b.py:2"], ["moved from a.py:2"]]
    line = model.meaning.line(come.id, 1)
    assert line is not None and (line.path, line.number) == ("a.py", 2)
    model.switch_moves()
    assert model.labels.of(come.id) == [] and model.meaning.line(come.id, 1) is None
    # A decision changes no hunk, and what was found stays.
    model.set_changes(tuple(changes), (), {})
    assert not model.meaning.lacks_moves
    model.set_changes(changes[:1], (), {})
    assert model.meaning.lacks_moves
