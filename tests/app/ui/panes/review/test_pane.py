"""Deciding by keyboard, over the real review."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import TextArea

from app.model.events import Finished, StreamEvent, TextDelta
from app.model.messages import ChatRequest
from app.ui.dialogs.listing import Listing
from app.ui.diff.model.pending import hunk_ids
from app.ui.widgets.file_view import FileView
from app.ui.widgets.writing_area import WritingArea
from tests.support.review.review_cases import git
from tests.support.ui.screen import FakeEngine, Stage, edit

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
    wanted = {name.replace("__", ".") for name in files}
    shown = stage.screen.review.view
    await stage.until(
        lambda: shown.model.changes and wanted <= {change.path for change in shown.model.changes}, "the changes"
    )
    await stage.press("f4")
    assert stage.screen.review.view.has_focus


async def test_keep_and_reject_decide_the_hunk_and_move_on(root: Path) -> None:
    async with Stage(root).run() as stage:
        await reviewing(stage, a__txt=AFTER, b__txt="two\n")
        pane, view = stage.screen.review, stage.screen.review.view
        first, second, third, other = [name for name, _ in hunk_ids(view.model.changes)]
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
        centre, status = stage.screen.query_one("#centre-pane"), stage.screen.query_one("#status")
        await stage.until(lambda: "2 of 4 decided" in str(centre.border_subtitle), "the count")
        await stage.until(lambda: "2 to review" in str(status.render()), "the count in the status line")

        await stage.press("u")
        await stage.until(lambda: pane.decided == 1)
        assert (root / "a.txt").read_text() == AFTER

        await stage.press("right_square_bracket", "x")
        await stage.until(lambda: (root / "b.txt").read_text() == "one\n")
        assert other not in dict(hunk_ids(view.model.changes))


async def test_a_whole_file_is_decided_with_the_capital_key(root: Path) -> None:
    async with Stage(root).run() as stage:
        await reviewing(stage, a__txt=AFTER, b__txt="two\n")
        await stage.press("X")
        await stage.until(lambda: stage.screen.review.pending == 1)
        assert (root / "a.txt").read_text() == BEFORE
        assert (root / "b.txt").read_text() == "two\n"


async def test_the_file_opens_at_the_line_under_the_cursor(root: Path) -> None:
    async with Stage(root).run() as stage:
        await reviewing(stage, a__txt=AFTER)
        await stage.press("n", "n", "o")
        await stage.until(lambda: stage.screen.viewer.path == "a.txt")
        view = stage.screen.viewer.query_one("#file-view", FileView)
        await stage.until(lambda: view.line_number == AFTER.split("\n").index("more") + 1)


async def test_a_commit_asks_for_a_message_and_shows_what_git_says(root: Path) -> None:
    git(root, "init", "--quiet")
    git(root, "config", "user.name", "A")
    git(root, "config", "user.email", "a@localhost")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "one")
    hook = root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no tabs please >&2\nexit 1\n")
    hook.chmod(0o755)
    async with Stage(root).run() as stage:
        await reviewing(stage, b__txt="two\n")
        await stage.press("c")
        assert stage.app.screen is stage.screen, "nothing is kept yet"
        await stage.until(lambda: stage.screen.review.check_action("keep", ()))
        await stage.press("a")
        await stage.until(lambda: stage.screen.review.pending == 0)
        await stage.press("c")
        await stage.until(lambda: stage.app.screen is not stage.screen)
        await stage.press("ctrl+s")
        assert "message" in str(stage.app.screen.query_one("#commit-error").render())
        await stage.press(*"two", "ctrl+s")
        # The dialog says what the hook said, and keeps the message.
        await stage.until(lambda: "no tabs please" in str(stage.app.screen.query_one("#commit-error").render()))
        await stage.press("escape")
        assert stage.app.screen is stage.screen


async def test_without_a_repository_what_is_kept_leaves_the_list_and_comes_back(root: Path) -> None:
    async with Stage(root).run() as stage:
        await reviewing(stage, b__txt="two\n")
        await stage.press("a")
        await stage.until(lambda: stage.screen.review.pending == 0)
        await stage.press("c")
        await stage.until(lambda: not stage.screen.review.view.model.changes)
        assert (root / "b.txt").read_text() == "two\n"
        await stage.press("u")
        await stage.until(lambda: stage.screen.review.decided == 1)


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


async def test_a_hunk_in_the_middle_of_a_string_has_its_colour(root: Path) -> None:
    text = '    """First.\n' + "    and more\n" * 35 + "    %s this\n" + '    """\n    return %s\n\n\n'
    # What is looked at begins in the middle of the one before.
    before = f"def f():\n{text % ('with', 0)}def g():\n{text % ('for', 1)}"
    (root / "c.py").write_text(before)
    async with Stage(root).run() as stage:
        await reviewing(stage, c__py=before.replace("for this", "for that"))
        view = stage.screen.review.view

        def style(words: str) -> object:
            segments = [part for y in range(view.size.height) for part in view.render_line(y)]
            return next((part.style.color for part in segments if part.style and words in part.text), None)

        colours = view.palette.syntax
        await stage.until(lambda: style("return") == colours["keyword"].color)
        assert style("for ") == colours["string"].color


async def test_the_work_tree_and_the_index_are_reviewed_in_the_workspace_too(root: Path) -> None:
    git(root, "init", "--quiet")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "one")
    async with Stage(root).run() as stage:
        await reviewing(stage, b__txt="two\n")
        (root / "a.txt").write_text(AFTER)
        pane = stage.screen.review
        await stage.press("t")
        await stage.until(lambda: pane.total == 4)
        centre = stage.screen.query_one("#centre-pane")
        await stage.until(lambda: "Review of the work tree" in str(centre.border_title))
        assert "a stage" in str(stage.screen.query_one("#hints").render())
        assert "1 to review" in str(stage.screen.query_one("#status").render())
        await stage.press("g", "A")
        await stage.until(lambda: pane.decided == 3)
        assert git(root, "show", ":a.txt").decode() == AFTER
        await stage.press("t")
        await stage.until(lambda: pane.desk.title == "the index" and pane.total == 3)
        await stage.press("t")
        await stage.until(lambda: pane.desk.source == "" and pane.total == 1)
        assert "a keep" in str(stage.screen.query_one("#hints").render())


async def test_lines_are_kept_and_rejected_and_comments_reach_the_agent(root: Path) -> None:
    async with Stage(root).run() as stage:
        await reviewing(stage, b__txt="two\nthree\nfour\n")
        await stage.press("slash", *"three", "enter", "escape", "v")
        # Where the message is written, Escape stops the agent, and is not used up on what is selected here.
        await stage.press("f5", "escape")
        assert stage.screen.review.view.selection.is_active
        await stage.press("f4", "x")
        await stage.until(lambda: (root / "b.txt").read_text() == "two\nfour\n")
        await stage.press("slash", *"four", "enter", "escape", "m")
        await stage.until(lambda: isinstance(stage.app.focused, WritingArea), "the field of the comment")
        await stage.press(*"No", "ctrl+s")
        await stage.until(lambda: stage.screen.review.view.model.rows.remark_rows)
        told = stage.review.feedback()
        assert "b.txt:2\n+three" in told
        assert "b.txt:2\n> four\nNo" in told


async def test_turns_are_kept_and_rejected_by_themselves_and_with_later_ones(root: Path) -> None:
    async with Stage(root).run() as stage:
        for number, files in enumerate(({"a__txt": AFTER}, {"b__txt": "two\n"}, {"c__txt": "c\n"}), 1):
            edit(stage.review, root, number, f"words {number}", **files)
        await reviewing(stage)

        async def decide(*keys: str) -> None:
            await stage.press("T")
            await stage.until(lambda: isinstance(stage.app.screen, Listing))
            await stage.press(*keys)
            await stage.until(lambda: stage.app.screen is stage.screen)

        await decide("j", "a")  # the second of three
        await stage.until(lambda: stage.screen.review.decided == 1)
        assert (root / "b.txt").read_text() == "two\n"
        await decide("j", "X")
        await stage.until(lambda: not (root / "c.txt").exists())
        assert ((root / "a.txt").read_text(), (root / "b.txt").read_text()) == (AFTER, "one\n")


async def test_the_model_suggests_a_message_below_what_was_written(root: Path) -> None:
    asked: list[ChatRequest] = []
    go = asyncio.Event()

    class Writer(FakeEngine):
        async def stream(self, request: ChatRequest) -> AsyncIterator[StreamEvent]:
            asked.append(request)
            await go.wait()
            yield TextDelta("Say two\n\nOne was")
            yield TextDelta(" not enough.")
            yield Finished("stop")

    git(root, "init", "--quiet")
    stage = Stage(root)
    stage.app._ports = replace(stage.app._ports, engine=Writer())
    async with stage.run():
        await reviewing(stage, b__txt="two\n")
        await stage.press("a")
        await stage.until(lambda: stage.screen.review.pending == 0)
        await stage.press("c")
        await stage.until(lambda: stage.app.screen is not stage.screen)
        await stage.press("ctrl+g")
        await stage.until(lambda: asked)
        await stage.press(*"Mine")
        go.set()
        area = stage.app.screen.query_one(TextArea)
        await stage.until(lambda: "enough" in area.text)
        assert area.text == "Mine\n\nSay two\n\nOne was not enough."
        assert "-one\n+two\n" in asked[0].messages[0].content


async def test_the_editor_opens_at_the_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setenv("EDITOR", "nano -w")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setattr("app.ui.editor.subprocess.run", lambda command, **_: ran.append(command) or Done())
    async with Stage(root).run() as stage:
        monkeypatch.setattr(stage.app, "suspend", nullcontext)
        await reviewing(stage, a__txt=AFTER)
        await stage.press("slash", *"more", "enter", "escape", "E")
        line = AFTER.split("\n").index("more") + 1
        assert ran == [["nano", "-w", f"+{line}", str(root / "a.txt")]]


class Done:
    returncode = 0
