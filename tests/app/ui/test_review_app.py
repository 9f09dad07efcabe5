"""The review of what git can show, full screen: the same keys over the index, patches and commits."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.events import Click, Key, MouseDown, MouseEvent, MouseMove, MouseScrollDown, MouseScrollUp, MouseUp
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from app.review.desks.source_desk import SourceDesk
from app.review.desks.sources import STAGED, WORK_TREE, Source, Sources, source_of
from app.review.review import Review
from app.ui.dialogs.comment import CommentDialog
from app.ui.dialogs.commit import CommitDialog
from app.ui.dialogs.edit_hunk import EditHunkDialog
from app.ui.dialogs.listing import Listing
from app.ui.diff.view import DiffView
from app.ui.panes.review.pane import ReviewPane
from app.ui.review_app import ReviewApp
from tests.support.patience import LONGEST
from tests.support.review.review_cases import git

BEFORE = "".join(f"line {number}\n" for number in range(1, 61))
AFTER = BEFORE.replace("line 5\n", "line five\nand more\n").replace("line 40\n", "line  40\n")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "A")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "a@example.org")
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "--quiet", "-b", "main")
    (root / "a.txt").write_text(BEFORE)
    (root / "b.txt").write_text("one\n")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "one")
    (root / "a.txt").write_text(AFTER)
    (root / "b.txt").write_text("two\n")
    return root


class Reader:
    """The app under test, and what is in it."""

    def __init__(self, app: ReviewApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot
        self.told: list[str] = []  # all that was notified: the app forgets it after some seconds
        notify = app.notify

        def listen(message: str, **how: Any) -> None:
            self.told.append(message)
            notify(message, **how)

        app.notify = listen  # type: ignore[method-assign]

    @property
    def pane(self) -> ReviewPane:
        return self.app.review_screen.review

    @property
    def view(self) -> DiffView:
        return self.pane.view

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def until(self, condition: Callable[[], object], what: str = "what was waited for") -> None:
        deadline = time.monotonic() + LONGEST
        while not condition():
            assert time.monotonic() < deadline, f"never came: {what}\n{self.drawn()}"
            await self.pilot.pause(0.005)

    def drawn(self, width: int = 100) -> str:
        return "\n".join(self.view.draw_row(row, width).text for row in range(self.view.row_count))


@asynccontextmanager
async def reading(
    root: Path, *wanted: Source, review: Review | None = None, size: tuple[int, int] = (110, 40)
) -> AsyncIterator[Reader]:
    log = review or Review(root)
    sources = Sources(root, log)
    app = ReviewApp(log, [SourceDesk(source, sources, log) for source in wanted], root)
    async with app.run_test(size=size) as pilot:
        reader = Reader(app, pilot)
        await reader.until(lambda: reader.pane.total, "the changes")
        await pilot.pause()
        yield reader


async def test_hunks_and_lines_are_staged_unstaged_and_discarded(root: Path) -> None:
    async with reading(root, WORK_TREE, STAGED) as reader:
        staged = lambda path: git(root, "show", f":{path}").decode()  # noqa: E731
        # The cursor is on the first hunk: line selection takes just "and more".
        await reader.press("slash", *"and more", "enter", "escape", "v", "a")
        await reader.until(lambda: "and more" in staged("a.txt"))
        assert staged("a.txt") == BEFORE.replace("line 5\n", "and more\nline 5\n")
        await reader.press("u")
        await reader.until(lambda: staged("a.txt") == BEFORE)
        await reader.press("U")
        await reader.until(lambda: staged("a.txt") != BEFORE)
        await reader.until(lambda: "+ and more" not in reader.drawn())
        await reader.press("u")
        await reader.until(lambda: "+ and more" in reader.drawn())
        await reader.press("A")
        await reader.until(lambda: staged("a.txt") == AFTER)
        await reader.until(lambda: reader.pane.decided == 2)
        await reader.press("x")
        await reader.until(lambda: (root / "b.txt").read_text() == "one\n")
        await reader.press("g", "u")
        await reader.until(lambda: (root / "b.txt").read_text() == "two\n")
        here = lambda: reader.view.current_change  # noqa: E731  none until what came back is read
        await reader.until(lambda: here() is not None and here().path == "b.txt", "what came back")
        await reader.press("t")
        await reader.until(lambda: reader.pane.desk.title == "the index" and reader.pane.total == 2)
        await reader.press("x")
        await reader.until(lambda: "line five" not in staged("a.txt") and "line  40" in staged("a.txt"))
        assert (root / "a.txt").read_text() == AFTER


async def test_a_slow_commit_is_said_to_be_under_way_and_made_once(root: Path) -> None:
    hook = root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nwhile [ ! -e ../go ]; do sleep 0.05; done\n")
    hook.chmod(0o755)
    async with reading(root, WORK_TREE, STAGED) as reader:
        await reader.press("a", "c")
        await reader.until(lambda: isinstance(reader.app.screen, CommitDialog))
        dialog = reader.app.screen
        await reader.press(*"two", "ctrl+s", "ctrl+s")
        await reader.until(lambda: "Committing" in str(dialog.query_one("#commit-error").render()))
        await reader.press("escape")
        await reader.until(lambda: "not interrupted" in str(dialog.query_one("#commit-error").render()))
        await reader.press("escape")
        await reader.until(lambda: reader.app.screen is not dialog)
        (root.parent / "go").touch()
        await reader.until(lambda: any("Committed" in note for note in reader.told))
        assert git(root, "log", "--format=%s").decode() == "two\none\n"


async def test_a_commit_takes_what_is_staged_with_sign_off_amend_and_hooks(root: Path) -> None:
    hook = root / ".git" / "hooks" / "commit-msg"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ngrep -q why "$1" || { echo "say why"; exit 1; }\necho fine\n')
    hook.chmod(0o755)
    async with reading(root, WORK_TREE, STAGED) as reader:
        await reader.press("a", "c")
        await reader.until(lambda: isinstance(reader.app.screen, CommitDialog))
        await reader.press(*"two", "ctrl+s")
        await reader.until(lambda: "say why" in str(reader.app.screen.query_one("#commit-error").render()))
        reader.app.screen.query_one(TextArea).load_text("why two")
        await reader.press("ctrl+o", "ctrl+s")
        await reader.until(lambda: not isinstance(reader.app.screen, CommitDialog))
        assert git(root, "log", "-1", "--format=%B").decode().strip() == (
            "why two\n\nSigned-off-by: A <a@example.org>"
        )
        assert any("fine" in note for note in reader.told)
        await reader.press("a", "c")
        await reader.until(lambda: isinstance(reader.app.screen, CommitDialog))
        reader.app.screen.query_one(TextArea).load_text("why all")
        await reader.press("ctrl+l", "ctrl+s")
        await reader.until(lambda: not isinstance(reader.app.screen, CommitDialog))
        assert git(root, "log", "--format=%s").decode() == "why all\none\n"


async def test_a_patch_is_applied_hunk_by_hunk_and_a_misfit_is_shown(root: Path) -> None:
    patch = git(root, "diff")
    git(root, "checkout", "-q", ".")
    moved = "new first\n" + BEFORE.replace("line 39\n", "another 39\n")
    (root / "a.txt").write_text(moved.replace("line 38\n", "another 38\n").replace("line 41\n", "x\n"))
    was = (root / "a.txt").read_text()
    async with reading(root, Source("patch", "fix.patch", patch=patch)) as reader:
        await reader.press("a")
        await reader.until(lambda: "line five" in (root / "a.txt").read_text())
        await reader.until(lambda: reader.pane.decided == 1)
        assert any("offset 1 line" in note for note in reader.told)
        after_first = was.replace("line 5\n", "line five\nand more\n")
        await reader.press("a")
        await reader.until(lambda: "does not fit" in reader.drawn(), "the conflict")
        assert (root / "a.txt").read_text() == after_first
        assert reader.pane.decided == 1
        await reader.press("right_square_bracket", "x")
        await reader.until(lambda: reader.pane.decided == 2)
        assert (root / "b.txt").read_text() == "one\n"
        assert "✗ skipped" in reader.drawn()
        await reader.press("u", "u")
        await reader.until(lambda: (root / "a.txt").read_text() == was)
        await reader.until(lambda: reader.pane.decided == 0)


async def test_what_does_not_fit_is_shown_beside_what_the_file_has(root: Path) -> None:
    patch = git(root, "diff", "a.txt")
    mine = BEFORE.replace("line 39\n", "mine 39\n").replace("line 41\n", "mine 41\n").replace("line 40\n", "")
    (root / "a.txt").write_text(mine)
    async with reading(root, Source("patch", "fix.patch", patch=patch)) as reader:
        await reader.press("A")
        await reader.until(lambda: "does not fit" in reader.drawn(), "the conflict")
        # All or nothing, and only the hunk that does not fit is marked.
        assert (root / "a.txt").read_text() == mine
        assert reader.drawn().count("does not fit") == 1
        drawn = reader.drawn()
        assert "3 lines of 7 differ from the file's, nearest at line 37" in drawn
        for row in ("37  line 37", "expected: line 39", "39  found:    mine 39", "expected: line 40"):
            assert row in drawn, row
        await reader.press("g", "n", "a")
        await reader.until(lambda: reader.pane.decided == 1)
        await reader.press("p", "a")
        await reader.press("L")
    with_first = (root / "a.txt").read_text()
    assert with_first == mine.replace("line 5\n", "line five\nand more\n")
    async with reading(root, Source("patch", "fix.patch", patch=patch)) as reader:
        await reader.press("n", "a")
        await reader.until(lambda: "in the file already, at line 2" in reader.drawn())


async def test_a_hunk_is_edited_in_place(root: Path) -> None:
    async with reading(root, WORK_TREE) as reader:
        await reader.press("n", "n", "e")
        await reader.until(lambda: isinstance(reader.app.screen, EditHunkDialog))
        area = reader.app.screen.query_one(TextArea)
        assert area.text == "\n".join(AFTER.split("\n")[37:44]) + "\n"
        area.load_text("\n".join(["line 37", "line 38", "edited", "line 43"]))
        await reader.press("ctrl+s")
        edited = AFTER.split("\n")
        edited[37:44] = ["line 37", "line 38", "edited", "line 43"]
        await reader.until(lambda: (root / "a.txt").read_text() == "\n".join(edited))
        await reader.until(lambda: "edited" in reader.drawn())
        await reader.press("e")
        await reader.until(lambda: isinstance(reader.app.screen, EditHunkDialog))
        await reader.press("x", "escape")
        assert "Esc again" in str(reader.app.screen.query_one("#hunk-box").border_subtitle)
        await reader.press("escape")
        await reader.until(lambda: not isinstance(reader.app.screen, EditHunkDialog))
        assert (root / "a.txt").read_text() == "\n".join(edited)
        # Meanwhile somebody else changes those lines: nothing is written.
        await reader.press("e")
        await reader.until(lambda: isinstance(reader.app.screen, EditHunkDialog))
        elsewhere = (root / "a.txt").read_text().replace("edited", "theirs")
        (root / "a.txt").write_text(elsewhere)
        reader.app.screen.query_one(TextArea).load_text("mine")
        await reader.press("ctrl+s")
        await reader.until(lambda: any("changed meanwhile" in note for note in reader.told))
        assert (root / "a.txt").read_text() == elsewhere


async def test_a_hunk_of_a_patch_or_of_the_index_is_edited_before_it_is_taken(root: Path) -> None:
    patch = git(root, "diff", "b.txt")
    staged = lambda: git(root, "show", ":b.txt").decode()  # noqa: E731

    async def write(reader: Reader) -> None:
        await reader.press("G", "e")
        await reader.until(lambda: isinstance(reader.app.screen, EditHunkDialog))
        area = reader.app.screen.query_one(TextArea)
        assert area.text == "two\n"
        area.load_text("two and\nthree\n")
        await reader.press("ctrl+s")
        await reader.until(lambda: "+ three" in reader.drawn())

    git(root, "add", "-A")
    async with reading(root, STAGED) as reader:
        await write(reader)
        assert staged() == "two and\nthree\n"
        assert (root / "b.txt").read_text() == "two\n"
        await reader.press("u")
        await reader.until(lambda: staged() == "two\n")
    (root / "b.txt").write_text("one\n")
    async with reading(root, Source("patch", "fix.patch", patch=patch)) as reader:
        await write(reader)
        await reader.press("u")
        await reader.until(lambda: "+ two" in reader.drawn() and "three" not in reader.drawn())
        await reader.press("U", "a")
        await reader.until(lambda: (root / "b.txt").read_text() == "two and\nthree\n")
        await reader.until(lambda: reader.pane.decided == 1)
        await reader.press("e")
        await reader.until(lambda: any("applied already" in one for one in reader.told))


async def test_less_context_is_told_as_such(root: Path) -> None:
    patch = git(root, "diff", "a.txt")
    changed = BEFORE.replace("line 38\n", "another 38\n")
    (root / "a.txt").write_text(changed)
    async with reading(root, Source("patch", "fix.patch", patch=patch)) as reader:
        await reader.press("n", "n", "a")
        await reader.until(lambda: "line  40" in (root / "a.txt").read_text())
        await reader.until(lambda: any("Context reduced" in note for note in reader.told))


async def test_comments_are_written_listed_edited_deleted_and_told(root: Path) -> None:
    review = Review(root)
    async with reading(root, WORK_TREE, review=review) as reader:
        await reader.press("slash", *"line five", "enter", "escape", "m")
        await reader.until(lambda: isinstance(reader.app.screen, CommentDialog))
        await reader.press(*"Why?", "ctrl+s")
        await reader.until(lambda: "✎ Why?" in reader.drawn())
        assert reader.view.model.rows.remark_rows
        rows = reader.drawn().split("\n")
        assert "line five" in rows[rows.index(next(row for row in rows if "Why?" in row)) - 1]
        await reader.press("g", "right_curly_bracket")
        assert reader.view.current_comment and reader.view.current_comment.text == "Why?"
        await reader.press("m")
        await reader.until(lambda: isinstance(reader.app.screen, CommentDialog))
        await reader.press(*" Say.", "ctrl+s")
        await reader.until(lambda: "✎ Why? Say." in reader.drawn())
    # A new start, a new object: the comment is still there, and can go.
    async with reading(root, WORK_TREE) as reader:
        await reader.until(lambda: "✎ Why? Say." in reader.drawn())
        assert "a.txt:5\n> line five\nWhy? Say." in Review(root).feedback()
        await reader.press("v", "j", "M")
        await reader.until(lambda: isinstance(reader.app.screen, Listing))
        await reader.press("d")
        await reader.until(lambda: "Why?" not in reader.drawn())
        # With other rows, what was selected would be other lines.
        assert not reader.view.selection.is_active
        assert Review(root).comments() == ()


async def test_more_of_the_file_is_shown_around_a_hunk(root: Path) -> None:
    async with reading(root, WORK_TREE) as reader:
        assert "line 20" not in reader.drawn()
        await reader.press("z")
        await reader.until(lambda: "line 20" in reader.drawn())
        assert any(row.split()[-5:] == ["9", "10", "┊", "line", "9"] for row in reader.drawn().split("\n"))
        await reader.press("Z")
        await reader.until(lambda: "line 20" not in reader.drawn())


async def test_white_space_is_ignored_on_a_key_and_stays_decidable(root: Path) -> None:
    async with reading(root, WORK_TREE) as reader:
        assert "line  40" in reader.drawn()
        await reader.press("i")
        assert "line  40" not in reader.drawn()
        assert "white space only" in reader.drawn()
        assert reader.pane.total == 3 and "white space ignored" in reader.pane.summary
        await reader.press("i")
        assert "line  40" in reader.drawn()


async def test_search_goes_through_all_hunks_and_opens_what_is_folded(root: Path) -> None:
    async with reading(root, WORK_TREE) as reader:
        await reader.press("n", "n", "enter")
        assert "line  40" not in reader.drawn()
        await reader.press("slash", *"  40", "enter")
        line = reader.view.current_diff_line
        assert line and line.text == "line  40"
        await reader.press("slash", *"e 4", "enter")
        first = reader.view.cursor_row
        await reader.press("n")
        assert reader.view.cursor_row != first
        await reader.press("N")
        assert reader.view.cursor_row == first
        # What comes in one go, as over a slow line, is looked for; none of it is a decision.
        before = git(root, "status", "--porcelain")
        for key in "/xXaA":
            reader.app.post_message(Key({"/": "slash"}.get(key, key), key))
        field = reader.app.screen.query_one("#review-input", Input)
        await reader.until(lambda: field.value == "xXaA" and field.has_focus)
        await reader.press("u")
        assert field.value == "xXaAu"
        await reader.press("escape")
        assert git(root, "status", "--porcelain") == before and reader.pane.decided == 0


@pytest.mark.parametrize("size", [(110, 40), (150, 40)], ids=["unified", "side by side"])
async def test_the_mouse_selects_lines_and_goes_to_files(root: Path, size: tuple[int, int]) -> None:
    staged = lambda: git(root, "show", ":a.txt").decode()  # noqa: E731
    async with reading(root, WORK_TREE, size=size) as reader:
        view, is_split = reader.view, size[0] > 130
        lines = view.model.changes[0].hunks[0].lines
        at = {line.text: view.model.rows.row_of_line(0, 0, number) for number, line in enumerate(lines)}
        right = size[0] // 2 + 20

        async def mouse(kind: type[MouseEvent], text: str, column: int, button: int = 1) -> None:
            y = (at[text] or 0) - view.scroll_offset.y
            await reader.pilot._post_mouse_events([kind], view, (column, y), button=button)

        async def drag(first: str, last: str, column: int) -> None:
            await mouse(MouseDown, first, column)
            for text in (first, last):
                await mouse(MouseMove, text, column)
            await mouse(MouseUp, last, column)
            await mouse(Click, last, column)

        await drag("line 4", "and more", right)
        assert reader.app.mouse_captured is None
        texts = view.clean_text().split("\n")
        # Side by side, what is on the other side of the same rows is not meant.
        assert texts == ["line 4", *([] if is_split else ["line 5"]), "line five", "and more"]
        await mouse(MouseDown, "line 3", right)
        assert not view.selection.is_active
        await mouse(MouseUp, "line 3", right)
        await mouse(Click, "line 3", right)
        assert view.cursor_row == at["line 3"]
        await drag("and more", "line five", right)
        await reader.press("a")
        wanted = "line five\nand more\nline 5\n"
        await reader.until(lambda: staged() == BEFORE.replace("line 5\n", wanted))
        # Along a line it marks text, on the side on which it began.
        await reader.press("u")
        await reader.until(lambda: staged() == BEFORE and reader.pane.total == 3)
        start = view.gutter_width + 5 + (size[0] // 2 - 1 if is_split else 0)
        await mouse(MouseDown, "line five", start)
        await mouse(MouseMove, "line five", start + 3)
        await mouse(MouseUp, "line five", start + 3)
        assert reader.app.screen.get_selected_text() == "five"
        await reader.pilot.click("#diff-view", offset=(1, 0))
        assert view.model.folded == {"a.txt"}
        await reader.press("f")
        await reader.until(lambda: isinstance(reader.app.screen, Listing))
        await reader.pilot.click("#listing-lines", offset=(10, 1))
        await reader.until(lambda: not isinstance(reader.app.screen, Listing))
        assert view.current_change and view.current_change.path == "b.txt"


async def test_what_a_key_would_decide_is_never_scrolled_out_of_sight(root: Path) -> None:
    async with reading(root, WORK_TREE, size=(110, 12)) as reader:
        view = reader.view
        for kind in (MouseScrollDown, MouseScrollUp):
            for _ in range(8):
                await reader.pilot._post_mouse_events([kind], view, (20, 5))
                assert view.scroll_offset.y <= view.cursor_row < view.scroll_offset.y + view.page
        assert view.scroll_offset.y == 0 < view.cursor_row
        # A drag goes on below the view's edge, as long as it is held there.
        for kind, y in ((MouseDown, 5), (MouseMove, view.page + 1)):
            await reader.pilot._post_mouse_events([kind], view, (20, y), button=1)
        await reader.until(lambda: view.cursor_row == view.row_count - 1)
        await reader.pilot._post_mouse_events([MouseUp], None, (20, 11), button=1)
        assert (
            view.selection.rows(view.cursor_row) == range(5, view.row_count)
            and reader.app.mouse_captured is None
        )


async def test_copying_gives_clean_text(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with reading(root, WORK_TREE) as reader:
        copied: list[str] = []
        monkeypatch.setattr(App, "copy_to_clipboard", lambda _app, text: copied.append(text))
        await reader.press("y")
        await reader.until(lambda: len(copied) == 1)
        await reader.press("j", "j", "v", "j", "y")
        whole = "line 2\nline 3\nline 4\nline five\nand more\nline 6\nline 7\nline 8"
        await reader.until(lambda: "Asked the terminal to copy 2 lines; some terminals do not." in reader.told)
        assert copied == [whole, "line 2\nline 3"]


async def test_a_commit_is_read_and_not_changed(root: Path) -> None:
    async with reading(root, source_of(root, "HEAD")) as reader:
        await reader.press("x")
        await reader.until(lambda: any("stays what it is" in one for one in reader.told))
        await reader.press("A")
        await reader.until(lambda: reader.pane.decided == 1)
        assert git(root, "log", "--format=%s") == b"one\n"
