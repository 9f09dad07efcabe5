"""Every action of the table is done once, in a workspace with something to do it to."""

from pathlib import Path

import pytest

from app.ui.find.finder import Finder
from app.ui.find.text import FindText
from app.ui.keys.actions import ACTIONS, Action
from tests.support.review.review_cases import git
from tests.support.ui.screen import Stage, edit

# What leaves the application or the terminal, or is done by another application; each has a journey of its own.
ELSEWHERE = {
    "app.quit": "tests/journeys/beginning_and_end/test_leaving.py",
    "app.suspend": "tests/app/ui/test_actions.py",
    "prompt.editor": "tests/journeys/workspace/test_talking.py",
    "review.edit_file": "tests/app/ui/test_review_app.py",
    "standalone.leave": "tests/app/ui/test_review_app.py",
    "standalone.quit": "tests/app/ui/test_review_app.py",
    "practice.next": "tests/app/ui/screens/test_practice.py",
}
IN_DIALOGS = ("permission", "sessions", "find")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "w"
    (root / "src").mkdir(parents=True)
    (root / "a.py").write_text("def one():\n    return 1\n")
    (root / "src" / "b.py").write_text("def two():\n    return 2\n")
    git(root, "init", "--quiet")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "one")
    monkeypatch.setattr("app.workspace.file_work.send2trash", lambda path: path.rename(tmp_path / path.name))
    monkeypatch.setattr("app.ui.file_manager.reveal", lambda _place: None)
    return root


async def test_every_action_can_be_done(root: Path) -> None:
    done: set[str] = set()
    async with Stage(root, show_file="a.py").run() as stage:
        await stage.say("Hello")
        edit(stage.review, root, a__py="def one():\n    return 11\n", new__txt="new\n")
        stage.screen.review.reload()
        await stage.until(lambda: stage.screen.review.total == 2 and stage.screen.viewer.path == "a.py")

        viewer = stage.screen.viewer

        async def do(action: Action) -> None:
            if action.scope in ("editor", "search") and not viewer.is_writing:
                await stage.app.action_perform("viewer.edit")
                await stage.until(lambda: viewer.is_writing)
            if action.id == "search.next":
                await stage.app.action_perform("editor.replace")
            await stage.app.action_perform(action.id)
            await stage.pilot.pause()
            done.add(action.id)
            while stage.app.screen is not stage.screen:
                stage.app.pop_screen()
                await stage.pilot.pause()

        for action in ACTIONS:
            if action.scope not in (*IN_DIALOGS, "lines") and action.id not in ELSEWHERE:
                await do(action)
        view = stage.screen.viewer.query_one("#file-view")
        for action in ACTIONS:
            if action.scope == "lines":
                await stage.app.run_action(action.handler, default_namespace=view)
                done.add(action.id)
        await stage.press("ctrl+s", *"return")
        await stage.until(lambda: isinstance(stage.app.screen, FindText) and stage.app.screen.is_settled)
        finder = stage.app.screen
        assert isinstance(finder, Finder)
        for action in ACTIONS:
            if action.scope == "find":
                await stage.app.run_action(action.handler, default_namespace=finder)
                await stage.pilot.pause()
                done.add(action.id)
                if not finder.is_attached:
                    break
    left = {action.id for action in ACTIONS} - done - ELSEWHERE.keys() - {"find.leave"}
    # The questions and the list of sessions have tests of their own, which press every key.
    assert {name for name in left if name.partition(".")[0] not in ("permission", "sessions")} == set()


def test_what_is_done_elsewhere_is_there() -> None:
    assert all(Path(place).exists() for place in ELSEWHERE.values())
