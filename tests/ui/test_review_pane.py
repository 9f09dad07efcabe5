"""Deciding by keyboard, over the real review."""

from pathlib import Path

import pytest

from tests.support.screen import Stage, edit

BEFORE = "".join(f"line {number}\n" for number in range(60))
AFTER = (
    BEFORE.replace("line 5\n", "line five\n").replace("line 30\n", "").replace("line 50\n", "line 50\nmore\n")
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text(BEFORE)
    (tmp_path / "b.txt").write_text("one\n")
    return tmp_path


async def reviewing(stage: Stage, **files: str | None) -> None:
    """Let the agent change files, and go to the review."""
    edit(stage.review, stage.root, **files)
    stage.screen.review.reload()
    await stage.until(lambda: stage.screen.review.total, "the changes")
    await stage.press("f4")
    assert stage.screen.review.view.has_focus


async def test_keep_and_reject_decide_the_hunk_and_move_on(root: Path) -> None:
    async with Stage(root).run() as stage:
        await reviewing(stage, a__txt=AFTER, b__txt="two\n")
        pane, view = stage.screen.review, stage.screen.review.view
        first, second, third, other = [name for name, _ in view.hunk_ids()]
        assert view.current_hunk and view.current_hunk.id == first

        await stage.press("a")
        await stage.until(lambda: pane.decided == 1)
        assert view.current_hunk.id == second
        assert (root / "a.txt").read_text() == AFTER

        await stage.press("x")
        await stage.until(lambda: pane.decided == 2)
        assert (root / "a.txt").read_text() == AFTER.replace("line 29\n", "line 29\nline 30\n")
        assert view.current_hunk.id == third
        assert pane.total == 4
        assert "2 of 4 decided" in str(stage.screen.query_one("#centre-pane").border_subtitle)
        assert "2 to review" in str(stage.screen.query_one("#status").render())

        await stage.press("u")
        await stage.until(lambda: pane.decided == 1)
        assert (root / "a.txt").read_text() == AFTER

        await stage.press("right_square_bracket", "x")
        await stage.until(lambda: (root / "b.txt").read_text() == "one\n")
        assert other not in dict(view.hunk_ids())


async def test_a_whole_file_is_decided_with_the_capital_key(root: Path) -> None:
    async with Stage(root).run() as stage:
        await reviewing(stage, a__txt=AFTER, b__txt="two\n")
        await stage.press("X")
        await stage.until(lambda: stage.screen.review.pending == 1)
        assert (root / "a.txt").read_text() == BEFORE
        assert (root / "b.txt").read_text() == "two\n"


async def test_nothing_is_decided_while_a_turn_writes(root: Path) -> None:
    async with Stage(root).run() as stage:
        await reviewing(stage, b__txt="two\n")
        stage.review.begin_turn(2)
        await stage.press("x")
        await stage.until(lambda: any(note.severity == "error" for note in stage.app._notifications))
        assert (root / "b.txt").read_text() == "two\n"
        assert stage.screen.review.pending == 1
        stage.review.end_turn(2)


async def test_the_file_opens_at_the_line_under_the_cursor(root: Path) -> None:
    async with Stage(root).run() as stage:
        await reviewing(stage, a__txt=AFTER)
        await stage.press("n", "n", "o")
        await stage.until(lambda: stage.screen.viewer.path == "a.txt")
        view = stage.screen.viewer.query_one("#file-view")
        await stage.until(lambda: view.line_number == AFTER.split("\n").index("more") + 1)


async def test_a_commit_asks_for_a_message_and_shows_what_git_says(root: Path) -> None:
    async with Stage(root).run() as stage:
        await reviewing(stage, b__txt="two\n")
        await stage.press("c")
        assert stage.app.screen is stage.screen, "nothing is kept yet"
        await stage.press("a")
        await stage.until(lambda: stage.screen.review.pending == 0)
        await stage.press("c")
        await stage.until(lambda: stage.app.screen is not stage.screen)
        await stage.press("ctrl+s")
        assert "message" in str(stage.app.screen.query_one("#commit-error").render())
        await stage.press(*"two", "ctrl+s")
        # The directory is no repository: the dialog says so and keeps the message.
        await stage.until(lambda: "repository" in str(stage.app.screen.query_one("#commit-error").render()))
        await stage.press("escape")
        assert stage.app.screen is stage.screen


async def test_mounted_widgets_do_not_grow_with_the_diff(root: Path) -> None:
    async with Stage(root).run() as stage:
        await reviewing(stage, b__txt="two\n")
        widgets = len(stage.screen.query("*"))
        await reviewing(stage, big__txt="".join(f"value_{number} = {number}\n" for number in range(20_000)))
        view = stage.screen.review.view
        assert view.row_count > 20_000
        await stage.press("G", "k", "k")
        assert view.cursor_row > 19_990
        await stage.press("s")
        assert len(stage.screen.query("*")) == widgets


async def test_side_by_side_and_unified_keep_the_place(root: Path) -> None:
    async with Stage(root).run((200, 40)) as stage:
        await reviewing(stage, a__txt=AFTER)
        view = stage.screen.review.view
        await stage.press("n", "n")
        hunk = view.current_hunk
        await stage.press("s")
        assert view.current_hunk == hunk
        rows = [view.draw_row(row, 100).text for row in range(view.row_count)]
        assert any("line 5 " in row and "line five" in row for row in rows)
        await stage.press("s")
        assert view.current_hunk == hunk
        rows = [view.draw_row(row, 100).text for row in range(view.row_count)]
        assert not any("line 5 " in row and "line five" in row for row in rows)


async def test_changed_words_and_syntax_are_marked_where_they_are(root: Path) -> None:
    (root / "c.py").write_text("def f():\n\tvalue = old_name  # why\n")
    async with Stage(root).run() as stage:
        await reviewing(stage, c__py="def f():\n\tvalue = new_name  # why\n")
        view = stage.screen.review.view
        styles = {}
        for row in range(view.row_count):
            strip = view.draw_row(row, 80)
            for segment in strip:
                styles.setdefault((strip.text[9:10].strip(), segment.text), segment.style)
        palette = view.palette
        assert styles["−", "old_name"].bgcolor == palette.removed_word.bgcolor
        assert styles["+", "new_name"].bgcolor == palette.added_word.bgcolor
        assert styles["+", "# why"].color == palette.syntax["comment"].color
        assert styles["+", "# why"].bgcolor == palette.added.bgcolor
        assert styles["", "def"].color == palette.syntax["keyword"].color
