"""How the rows of a diff look, drawn from the model and a theme without an application."""

from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.style import Style

from app.review.diff.meaning.moves import find_moves
from app.review.diff.misfit import Misfit
from app.review.model import Comment, FileChange, Hunk
from app.review.remarks.model import Answer, Note
from app.ui.diff.model.diff_model import DiffModel
from app.ui.diff.model.labels import Label
from app.ui.diff.model.selection import LineSelection
from app.ui.diff.painter.colours import DiffColours
from app.ui.diff.painter.diff_painter import DiffPainter
from app.ui.diff.painter.file_colours import file_colours
from app.ui.diff.painter.frame import Frame
from app.ui.drawing.palette import Palette
from app.ui.drawing.syntax import lexer_for_path
from app.ui.drawing.themes import DARK
from tests.support.review.diffs import changes_of, decided

PALETTE = Palette.from_variables(DARK.to_color_system().generate())
BEFORE = "def f():\n\tvalue = old_name  # why\n\treturn value\n"
AFTER = "def f():\n\tvalue = new_name  # why\n\treturn  value\n"
CHANGES = changes_of({"c.py": (BEFORE, AFTER), "b.txt": ("one\n", "two\n")})


class Drawing:
    """A model with everything that draws it, and what was asked for meanwhile."""

    def __init__(self, *changes: FileChange, width: int = 80) -> None:
        self.model = DiffModel()
        self.model.set_changes(changes or CHANGES, (), {})
        self.model.arrange(width)
        self.selection = LineSelection(self.model)
        self.lexers_wanted: list[str] = []
        self.files_wanted: list[FileChange] = []
        self.colours = DiffColours(self.model, self.lexers_wanted.append, self.files_wanted.append)
        self.painter = DiffPainter(self.model, self.colours)

    def frame(self, *, cursor: int = 0, has_focus: bool = True, left: int = 0) -> Frame:
        return Frame(PALETTE, self.selection, self.model.width, left=left, cursor=cursor, has_focus=has_focus)

    def rows(self, frame: Frame | None = None) -> list[str]:
        shown = frame or self.frame()
        strips = [self.painter.row(row, shown) for row in range(self.model.rows.row_count)]
        assert all(strip.cell_length == self.model.width for strip in strips)
        return [strip.text for strip in strips]

    def styles(self, frame: Frame | None = None) -> dict[tuple[str, str], Style | None]:
        """The style of each piece of text, by the sign of its row and the text."""
        found: dict[tuple[str, str], Style | None] = {}
        for row in range(self.model.rows.row_count):
            strip = self.painter.row(row, frame or self.frame())
            for segment in strip:
                found.setdefault((strip.text[9:10].strip(), segment.text), segment.style)
        return found


def test_changed_words_and_syntax_are_marked_where_they_are() -> None:
    lexer_for_path("c.py")
    styles = Drawing().styles(Drawing().frame(has_focus=False))

    def style(sign: str, text: str) -> Style:
        found = styles[sign, text]
        assert found is not None
        return found

    assert style("−", "old_name").bgcolor == PALETTE.removed_word.bgcolor
    assert style("+", "new_name").bgcolor == PALETTE.added_word.bgcolor
    assert style("+", "# why").color == PALETTE.syntax["comment"].color
    assert style("+", "# why").bgcolor == PALETTE.added.bgcolor
    assert style("", "def").color == PALETTE.syntax["keyword"].color


def test_side_by_side_what_was_is_on_the_left_and_what_is_on_the_right() -> None:
    rows = Drawing(width=150).rows()
    assert any("old_name" in row[:75] and "new_name" in row[75:] for row in rows)
    assert not any("old_name" in row and "new_name" in row for row in Drawing(width=80).rows())


def test_headings_say_what_was_decided_and_what_does_not_fit() -> None:
    drawing = Drawing(decided(CHANGES[0], "kept"), decided(CHANGES[1], "rejected"))
    rows = drawing.rows()
    assert "M c.py" in rows[0]
    assert "✓ decided" in rows[0]
    assert sum("✓ kept" in row for row in rows) == sum("✗ rejected" in row for row in rows) == 1
    hunk = CHANGES[0].hunks[0]
    drawing.model.set_changes(CHANGES, (), {hunk.id: Misfit("Lines differ", ("1  found: x",))})
    drawing.model.arrange(80)
    rows = drawing.rows()
    assert sum("! does not fit  Lines differ" in row for row in rows) == 1
    assert any("! 1  found: x" in row for row in rows)


def test_the_edge_marks_the_hunk_that_a_key_decides() -> None:
    drawing = Drawing()
    other = drawing.model.rows.row_of_hunk(CHANGES[1].hunks[0].id)
    assert other is not None
    for cursor in range(other, drawing.model.rows.row_count):
        marked = [
            number for number, row in enumerate(drawing.rows(drawing.frame(cursor=cursor))) if row[0] == "▌"
        ]
        assert marked == list(range(other, drawing.model.rows.row_count))
    # On a file's heading it is the file's first undecided hunk.
    marked = [n for n, row in enumerate(drawing.rows(drawing.frame(cursor=other - 1))) if row[0] == "▌"]
    assert marked == list(range(other - 1, drawing.model.rows.row_count))


def test_a_selected_line_and_one_of_white_space_alone_look_so() -> None:
    drawing = Drawing(width=150)
    drawing.model.ignores_space = True
    row = drawing.model.rows.row_of_line(0, 0, 1)
    assert row is not None
    drawing.selection.cycle(row)
    drawing.selection.cycle(row)  # the right side alone
    grounds = {
        segment.text: segment.style.bgcolor
        for segment in drawing.painter.row(row, drawing.frame(cursor=row))
        if segment.style
    }
    assert grounds["new_name"] != grounds["old_name"]
    last = drawing.model.rows.row_of_line(0, 0, len(CHANGES[0].hunks[0].lines) - 1)
    assert last is not None
    spaced = [
        segment.style for segment in drawing.painter.row(last, drawing.frame()) if "value" in segment.text
    ]
    assert spaced and all(style and style.bgcolor == PALETTE.text.bgcolor for style in spaced)


@pytest.mark.parametrize("width", [80, 150])
def test_wrapped_or_scrolled_no_character_of_a_long_line_is_lost(width: int) -> None:
    for text in ("word " * 700 + "end", "漢字かな" * 60, "\ta\tb" + "q" * 300):
        drawing = Drawing(*changes_of({"x.txt": ("short\n", f"short\n{text}\n")}), width=width)
        drawing.model.wrap = True
        drawing.model.arrange(width)
        side = slice(width // 2 if width == 150 else 0, None)
        lines = [row[side] for row in drawing.rows()]
        shown = "".join("".join(lines).split())
        assert "".join(text.split()) in shown.replace("2+", "", 1).replace("▌", "").replace("│", "")
        drawing.model.wrap = False
        drawing.model.arrange(width)
        drawing.rows()
        assert drawing.painter.widest >= cell_len(text.expandtabs(4))
        scrolled = drawing.rows(drawing.frame(left=drawing.painter.widest - 20))
        assert any(text.strip()[-4:] in row for row in scrolled)


def test_colours_come_from_the_whole_file_which_is_asked_for_once() -> None:
    prose = "".join(f"    and more {number}\n" for number in range(90))
    text = f'def f():\n    """First.\n{prose}    %s this\n    """\n    return %s\n'
    before, after = text % ("for", "0"), text % ("with", "1")
    drawing = Drawing(*changes_of({"d.py": (before, after)}))
    lexer = lexer_for_path("d.py")
    assert lexer is not None
    (change,) = drawing.model.changes

    def colours_of(piece: str) -> set[object]:
        return {style.color for (_, text), style in drawing.styles().items() if piece in text and style}

    strings = PALETTE.syntax["string"].color
    drawing.rows()
    drawing.rows()
    assert drawing.files_wanted == [change]
    assert not drawing.lexers_wanted
    assert strings not in colours_of("this")
    lines = after.removesuffix("\n").split("\n")
    # With another file, and without any, nothing is guessed: the hunk has a docstring's end.
    for other in (["another file"], [], lines):
        assert drawing.colours.has_file(change, file_colours(change, other, lexer))
        assert (strings in colours_of("this")) == (other is lines)
        assert strings not in colours_of("return")
    assert colours_of("return") == {PALETTE.syntax["keyword"].color}
    assert not drawing.colours.has_file(changes_of({"d.py": (before, after)})[0], {})


def test_a_comment_is_drawn_with_its_lines() -> None:
    drawing = Drawing()
    drawing.model.set_changes(CHANGES, (Comment(1, "b.txt", 1, "two", "Why?\nSay."),), {})
    drawing.model.arrange(80)
    rows = [row.rstrip() for row in drawing.rows()]
    first = next(number for number, row in enumerate(rows) if row.endswith("✎ Why?"))
    assert rows[first - 1].endswith("+ two")
    assert rows[first + 1].endswith("  Say.")


def test_who_speaks_can_be_seen() -> None:
    drawing, place = Drawing(), ("b.txt", 1, "two")
    said = (Comment(1, *place, "Why?"), Answer(1, *place, "So.", question="How?"), Note(2, *place, "Counts."))
    drawing.model.set_changes(CHANGES, said, {})
    drawing.model.arrange(40)
    text = "\n".join(row.strip() for row in drawing.rows())
    assert "✎ Why?\n? How?\nSo.\n» Counts." in text


def test_labels_are_cut_where_a_heading_is_narrow_and_numbers_never_are() -> None:
    hunk = CHANGES[1].hunks[0]
    whole = "  ○ open      needed  2 doubtful lines"
    numbers = "  1,1 → 1,1"
    for width in range(14, 70):
        drawing = Drawing(width=width)
        drawing.model.labels.put("tests", {hunk.id: Label("needed", "success")})
        drawing.model.labels.put("doubt", {hunk.id: Label("3 doubtful lines", "warning"), "gone": Label("x")})
        drawing.model.labels.put("doubt", {hunk.id: Label("2 doubtful lines", "warning")})
        row = drawing.rows()[drawing.model.rows.row_of_hunk(hunk.id) or 0].rstrip()
        if width >= len(whole + numbers):
            assert row == whole + numbers
        elif width >= len(whole):
            assert row == whole
        else:
            assert row.endswith("…") and whole.startswith(row[:-1]) and width - len(row) <= 2


@pytest.mark.parametrize("width", [80, 150], ids=["unified", "side by side"])
def test_a_line_that_looks_as_before_says_why_beside_its_hunk(width: int) -> None:
    context = "".join(f"{n}\n" for n in range(9))
    before = f"one\ncaf\u00e9\n{context}password = 1\n{context}two\nthree"
    after = f"one \ncafe\u0301\n{context}p\u0430ssword = 1\nnew\n{context}other\nthree\n"
    rows = Drawing(*changes_of({"a.txt": (before, after)}), width=width).rows()
    said = [row.partition("≈ ")[2] for row in rows if "○ open" in row]
    assert said[0].startswith("line 1: trailing blanks; line 2: Unicode form (NFC, NFD)")
    assert said[1].startswith("line 12: letters or signs that look alike")
    assert said[2].startswith("line 24: newline at the end")


def test_a_sent_comment_looks_sent_and_moves_to_no_other_hunk() -> None:
    drawing = Drawing()
    (hunk,) = CHANGES[1].hunks

    def rows(comment: Comment) -> str:
        drawing.model.set_changes(CHANGES, (comment,), {})
        drawing.model.arrange(80)
        return "\n".join(drawing.rows())

    sent = Comment(1, "b.txt", 1, "two", "Why?", hunk=hunk.id, is_sent=True)
    assert "✓ Why?  · sent" in rows(sent)
    assert "✎ Why?" in rows(replace(sent, is_sent=False))
    # The agent has changed that line since: the hunk that is there now is another one.
    assert "Why?" not in rows(replace(sent, hunk="9.0"))


def test_a_rename_says_whether_the_content_was_changed_too() -> None:
    whole = Hunk("1.0", 0, 0, 0, 0, ())
    renamed = replace(CHANGES[1], kind="renamed", previous_path="a.txt", hunks=(whole,))
    assert any("Renamed without a change of content." in row for row in Drawing(renamed).rows())
    rows = Drawing(replace(renamed, hunks=(whole, *CHANGES[1].hunks))).rows()
    assert any("Renamed; the changes of its content are hunks" in row for row in rows)


def test_what_moved_looks_moved_and_an_edit_on_the_way_looks_like_one() -> None:
    lines = [f"def function_{number}(): return {number}\n" for number in range(3)]
    now = [*lines[:1], lines[1].replace("return 1", "return one"), *lines[2:]]
    changes = changes_of({"a.py": ("".join(lines), ""), "b.py": ("x\n", "x\n" + "".join(now))})
    drawing = Drawing(*changes)
    drawing.model.meaning.know_moves(find_moves(changes))
    rows = drawing.rows()
    assert [row[9:10] for row in rows if " def function" in row] == ["‹", "−", "‹", "›", "+", "›"]
    assert "moved from a.py:1" in " ".join(rows)
    signs = drawing.styles()
    grounds = {
        sign: {style.bgcolor for (one, _), style in signs.items() if one == sign and style} for sign in "›+"
    }
    assert PALETTE.moved.bgcolor in grounds["›"] and PALETTE.added_word.bgcolor in grounds["+"]
    assert PALETTE.moved.bgcolor not in grounds["+"] and PALETTE.added.bgcolor not in grounds["›"]
    drawing.model.switch_moves()
    assert "›" not in " ".join(drawing.rows())
