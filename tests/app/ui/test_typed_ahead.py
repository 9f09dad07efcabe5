"""Keys that come in one go, as over a slow line or on a busy machine, do what they do one after another: each
goes to what the one before it brought to the front."""

import threading
from pathlib import Path

import pytest
from textual import events

from app.ui.dialogs.confirm import Confirm
from app.ui.dialogs.listing import Listing
from tests.support.review.review_cases import git
from tests.support.ui.screen import Stage, edit


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    for name in ("alpha.py", "beta.py", "gamma.py", "docs/delta.md"):
        (tmp_path / name).write_text("".join(f"line {number}\n" for number in range(9)))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    return tmp_path


def in_one_go(stage: Stage, *keys: str) -> None:
    """All of them before the application has heeded the first."""
    for key in keys:
        name = {"/": "slash", " ": "space", ".": "full_stop"}.get(key, key)
        stage.app.post_message(events.Key(name, key if len(key) == 1 else None))


async def test_what_follows_a_key_goes_where_that_key_leads(root: Path) -> None:
    async with Stage(root).run() as stage:
        screen, prompt = stage.screen, stage.screen.agent.prompt
        await stage.until(lambda: prompt.has_focus and len(screen.files.root.children) > 3)
        # Out of the message to the files, into a field there, and letters for it.
        in_one_go(stage, *"say", "f2", "/", *"bet", "enter", "enter", *"jjj")
        await stage.until(lambda: screen.viewer.path == "beta.py" and screen.viewer.line_number == 4)
        assert prompt.text == "say"
        # A box that is pushed, what is looked for in it, and the message again.
        in_one_go(stage, "ctrl+l", *"delta", "enter", "j", "f5", *" more")
        await stage.until(lambda: screen.viewer.path == "docs/delta.md" and prompt.text == "say more")
        assert screen.viewer.line_number == 2
        # Writing, of which the text is read first.
        in_one_go(stage, "f3", "i", "end", *"x.", "enter", *"jk", "escape", "k")
        text_of = screen.viewer.editor.text_of
        await stage.until(lambda: text_of("docs/delta.md") and not screen.viewer.is_writing)
        await stage.until(lambda: screen.viewer.line_number == 2)
        assert (text_of("docs/delta.md") or "").startswith("line 0\nline 1x.\njk\nline 2\n")
        # A paste is typed too.
        stage.app.post_message(events.Key("f5", None))
        stage.app.post_message(events.Paste(" and pasted"))
        await stage.until(lambda: prompt.text == "say more and pasted")


async def test_a_box_that_is_read_for_has_what_is_typed_meanwhile(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(root)
    edit(stage.review, root, 1, "first", alpha__py="one\n")
    edit(stage.review, root, 2, "second", beta__py="two\n")
    may_read, turns = threading.Event(), stage.review.turns

    def read() -> object:
        assert may_read.wait(60)
        return turns()

    monkeypatch.setattr(stage.review, "turns", read)
    async with stage.run() as stage:
        review = stage.screen.review
        await stage.press("f4")
        await stage.until(lambda: review.total == 2)
        in_one_go(stage, "T", "j", "x")
        await stage.pilot.pause()
        assert review.decided == 0 and not isinstance(stage.app.screen, Listing)
        may_read.set()
        # The second row of the list, newest first, is the first turn: that one is rejected, and no hunk here.
        await stage.until(lambda: (root / "alpha.py").read_text().startswith("line 0"))
        assert (root / "beta.py").read_text() == "two\n"


async def test_what_never_opens_does_not_keep_keys_for_ever(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ui.keys.typed_ahead._PATIENCE", 0.0)
    async with Stage(root).run() as stage:
        prompt = stage.screen.agent.prompt
        with stage.app.typed_ahead.opening(stage.screen.files):
            in_one_go(stage, *"abc")
            await stage.until(lambda: prompt.text == "abc")


async def test_a_key_that_nobody_took_is_not_one_of_a_box_that_opens_meanwhile(root: Path) -> None:
    async with Stage(root).run() as stage:
        stage.screen.set_focus(None)
        await stage.pilot.pause()
        await stage.app.give(events.Key("y", "y"))
        answers: list[bool | None] = []
        stage.app.push_screen(Confirm("Delete", "Delete it all?", "Delete it", "Keep it"), answers.append)
        await stage.pilot.pause()
        assert answers == []
        await stage.press("y")
        assert answers == [True]
