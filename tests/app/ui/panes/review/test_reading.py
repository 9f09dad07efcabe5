"""Going through the hunks in an order of reading, by keyboard."""

from pathlib import Path

from app.review.remarks.model import Note, Said
from app.ui.dialogs.listing import Listing
from tests.support.ui.screen import Stage, edit


async def test_the_next_hunk_is_the_next_in_the_order_that_is_followed(tmp_path: Path) -> None:
    root = tmp_path
    (root / "a.py").write_text("x = 1\n")
    async with Stage(root).run() as stage:
        edit(
            stage.review,
            root,
            a__py="x = doubled(1)\n",
            b__py="def doubled(n):\n    return 2 * n\n",
            c__py="y = 1\n",
            test_b__py="assert doubled(1) == 2\n",
        )
        pane, view = stage.screen.review, stage.screen.review.view
        pane.reload()
        await stage.until(lambda: pane.total == 4, "the hunks")

        def here() -> str:
            return view.current_change.path if view.current_change else ""

        async def told(words: str) -> None:
            await stage.until(
                lambda: any(words in note.message for note in stage.app._notifications), f"told: {words}"
            )

        await stage.press("f4", "g", "O")
        await told("definitions before uses")
        assert "in reading order" in pane.summary and here() == "b.py"
        await stage.press("n", "n")
        assert here() == "a.py"
        await stage.press("p", "p", "p")
        assert here() == "b.py"
        await told("first hunk of the order")
        # After a decision too.
        await stage.press("a")
        await stage.until(lambda: pane.decided == 1, "the decision")
        assert here() == "test_b.py"
        await stage.press("n", "n")
        assert here() == "c.py"

        stage.review.say(Said(order=["c.py", "b.py"]))
        stage.review.say(Said("Only one.", "c.py", 1))
        pane.reload()
        await stage.until(lambda: view.model.rows.remark_rows, "the note")
        row = view.model.rows.remark_rows[0]
        assert isinstance(view.model.remark_at(row), Note) and "» Only one." in view.draw_row(row, 80).text
        await stage.press("M")
        await stage.until(lambda: isinstance(stage.app.screen, Listing), "the list of what was said")
        await stage.press("d")
        await stage.until(lambda: not view.model.rows.remark_rows, "the note gone")
        await stage.press("O", "O")
        await told("the agent's order")
        assert here() == "c.py"
        await stage.press("n")
        assert here() == "b.py"
        await stage.press("O", "n")
        assert here() == "c.py" and "reading order" not in pane.summary
