"""Which hunks the tests need, by keyboard, with a small project's own tests."""

import asyncio
from pathlib import Path

import pytest

from app.testing.needed import experiment
from tests.support.review.review_cases import git
from tests.support.ui.screen import Stage, edit

CODE = "def double(x):\n    return x + x\n\n\n\n\n\n\ndef half(x):\n    return x\n"
TESTS = """\
import unittest
from code_here import double, half

class Tests(unittest.TestCase):
    def test_double(self):
        self.assertEqual(double(2), 4)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "code_here.py").write_text(CODE)
    (root / "test_code.py").write_text(TESTS)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir()}


def told(stage: Stage) -> str:
    """What the user was told last."""
    return [note.message for note in stage.app._notifications][-1:][0] if len(stage.app._notifications) else ""


async def test_the_tests_say_what_they_need_and_it_is_kept_with_one_decision(root: Path) -> None:
    async with Stage(root).run() as stage:
        edit(
            stage.review,
            root,
            code_here__py=CODE.replace("x + x", "2 * x").replace("    return x\n", "    return x // 2\n"),
            test_code__py=TESTS + "\n    def test_half(self):\n        self.assertEqual(half(4), 2)\n",
            note__txt="A note.\n",
        )
        stage.screen.review.reload()
        pane, view = stage.screen.review, stage.screen.review.view
        await stage.until(lambda: pane.total == 4, "the hunks")
        await stage.press("f4", "S")
        assert "finds the smallest set" in told(stage)

        def labels() -> list[tuple[str, str]]:
            return [
                (change.path, label.text)
                for change in view.model.changes
                for hunk in change.hunks
                for label in view.model.labels.of(hunk.id)
            ]

        await stage.press("C")
        await stage.until(lambda: "The tests need 1 of 4 hunks" in told(stage), "the end of the search")
        assert labels() == [
            ("code_here.py", "tests indifferent"),
            ("code_here.py", "needed"),
            ("note.txt", "tests indifferent"),
            ("test_code.py", "fails alone"),
        ]
        assert any("○ open      needed" in view.draw_row(row, 80).text for row in range(view.row_count))
        files = contents(root)
        await stage.press("S")
        await stage.until(lambda: pane.decided == 2, "the smallest set kept")
        kept = [
            change.path for change in view.model.changes for hunk in change.hunks if hunk.decision == "kept"
        ]
        assert kept == ["code_here.py", "test_code.py"]
        assert contents(root) == files
        await stage.press("u")
        await stage.until(lambda: pane.decided == 0, "the decision taken back")
        assert len(labels()) == 4
        # With another change there, the verdicts are about something else.
        edit(stage.review, root, turn=2, note__txt="Another note.\n")
        pane.reload()
        await stage.until(lambda: not labels(), "the verdicts gone")


async def test_any_key_stops_the_search(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()

    async def never_ends(*_arguments: object, **_options: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(experiment, "run_tests", never_ends)
    async with Stage(root).run() as stage:
        edit(stage.review, root, code_here__py=CODE + "\n\nx = 1\n")
        stage.screen.review.reload()
        pane = stage.screen.review
        await stage.until(lambda: pane.total == 1, "the hunk")
        await stage.press("f4")
        for key in ("escape", "j"):
            begun.clear()
            await stage.press("C")
            await asyncio.wait_for(begun.wait(), 60)
            assert "tests: " in pane.summary
            await stage.press(key)
            await stage.until(lambda: "tests: " not in pane.summary, "the search stopped")
            assert "Stopped" in told(stage)


async def test_of_the_work_tree_the_smallest_set_is_staged(root: Path) -> None:
    git(root, "init", "--quiet")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "broken")
    (root / "code_here.py").write_text(CODE.replace("return x\n", "return x / 2\n"))
    tests = TESTS + "\n    def test_half(self):\n        self.assertEqual(half(4), 2)\n"
    (root / "test_code.py").write_text(tests)
    async with Stage(root).run() as stage:
        pane = stage.screen.review
        await stage.press("f4", "t")
        await stage.until(lambda: pane.total == 2, "the work tree")
        await stage.press("C")
        await stage.until(lambda: "stages the smallest set" in told(stage), "the end of the search")
        await stage.press("S")
        staged = ("diff", "--cached", "--name-only")
        await stage.until(lambda: git(root, *staged).split() == [b"code_here.py", b"test_code.py"], "staged")
