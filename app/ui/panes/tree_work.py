"""What is done to files from the tree: asked for in a line below it, done in a thread, told and taken back."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from app.errors import TidegateError
from app.review.port import ReviewPort
from app.ui.base import ActionApp
from app.ui.dialogs.confirm import Confirm
from app.ui.drawing.text import visible
from app.ui.editor import edit_outside
from app.ui.keys.typed_ahead import opening
from app.ui.widgets.ask_line import AskLine
from app.workspace.workspace import Workspace

if TYPE_CHECKING:
    from app.ui.panes.tree import FileTree, TreeAsks
    from app.workspace.file_work import FileWork


class TreeWork:
    """Does what the keys of `tree` ask for. What is changed is the user's own in the review. `matching` finds
    the paths that a filter leaves."""

    def __init__(
        self,
        tree: "FileTree",
        line: AskLine,
        workspace: Workspace,
        review: ReviewPort,
        matching: Callable[[str], Awaitable[Collection[str]]],
    ) -> None:
        self._tree = tree
        self._matching = matching
        self._is_filtering = False
        self._line = line
        self._workspace = workspace
        self._review = review
        self._made: FileWork | None = None
        self._answer: Callable[[str], None] | None = None

    @property
    def _work(self) -> "FileWork":
        from app.workspace.file_work import FileWork  # noqa: PLC0415  the first frame does without

        if self._made is None:
            self._made = FileWork(self._workspace.root)
        return self._made

    # The line.

    def ask(self, words: str, value: str, answer: Callable[[str], None]) -> None:
        """Ask for a text, beginning with `value`."""
        self._answer = answer
        self._line.open(words, value)

    def answered(self, value: str) -> None:
        """Enter was pressed in the line."""
        answer, self._answer = self._answer, None
        if self._is_filtering:
            # Enter is for all that is written, which may have been written quicker than it is found.
            self._tree.run_worker(self._filter(value, is_all=True), group="filter")
        self._is_filtering = False
        self._close()
        if answer is not None and value.strip():
            answer(value)

    def leave(self) -> bool:
        """Close the line and end a filter. False if there was neither."""
        was_filtered, was_open = self._tree.is_filtered, self._close()
        self._is_filtering = False
        self._tree.show_only(None)
        return was_open or was_filtered

    def _close(self) -> bool:
        if not self._line.close():
            return False
        self._tree.focus()
        return True

    # What is asked for.

    def begin(self, what: "TreeAsks", path: str) -> None:
        """Begin what a key asked for."""
        match what:
            case "filter":
                self.filter()
            case "create":
                self.create(path)
            case "rename":
                self.rename(path)
            case "copy":
                self.copy(path)
            case "throw_away":
                self.throw_away(path)
            case "undo":
                self.undo()
            case "stage":
                self.stage(path)
            case "copy_path":
                self._tree.run_worker(self.copy_path(path), group="copy")

            case "edit":
                if (self._workspace.root / path).is_file():
                    edit_outside(self._tree.app, self._workspace, self._review, path)
                    self._tree.run_worker(self._tree.read_again(None), group="work")
            case "show":
                self._tree.run_worker(self._show(path), group="show")

    async def _show(self, path: str) -> None:
        from app.ui.file_manager import reveal  # noqa: PLC0415  the first frame does without

        try:
            await asyncio.to_thread(reveal, self._workspace.root / path)
        except TidegateError as error:
            self._tree.app.notify(str(error), severity="warning")

    def filter(self) -> None:
        """Ask for letters; the tree shows what matches them as they are typed, until Esc."""
        self.ask("Letters of the path; Enter goes there", "", lambda _letters: None)
        self._is_filtering = True

    def typed(self, letters: str) -> None:
        """The text of the line changed."""
        if self._is_filtering:
            self._tree.run_worker(self._filter(letters, is_all=False), group="filter")

    async def _filter(self, letters: str, *, is_all: bool) -> None:
        words = "nothing found"
        with opening(self._tree) if is_all else nullcontext():
            try:
                found = await self._matching(letters) if letters.strip() else None
            except TidegateError as error:
                found, words = (), str(error)
        if letters == self._line.value and (is_all or self._is_filtering):
            self._tree.show_only(found, words)

    def create(self, folder: str) -> None:
        """Ask for a new file or folder."""
        self.ask("New file; with a / behind it a folder", f"{folder}/" if folder else "", self._create)

    def _create(self, path: str) -> None:
        self._do((path,), lambda: self._work.create(path), "Made {}", shows=True)

    def rename(self, path: str) -> None:
        """Ask for another name or place."""

        def move(new: str) -> None:
            self._do(
                (path, new), lambda: self._work.move(path, new), f"Moved {visible(path)} to {{}}", shows=True
            )

        self.ask("New name, or place", path, move)

    def copy(self, path: str) -> None:
        """Ask where a copy is to be."""

        def copy(new: str) -> None:
            self._do((new,), lambda: self._work.copy(path, new), f"Copied {visible(path)} to {{}}", shows=True)

        self.ask("Copy it to", path, copy)

    def throw_away(self, path: str) -> None:
        """Ask whether a file or folder is to go to the trash."""

        def do(yes: bool | None) -> None:
            if yes:
                self._do((path,), partial(self._throw_away, path), "{}")

        question = f"{visible(path)} goes to the trash."
        self._tree.app.push_screen(Confirm("Delete", question, "Delete it", "Keep it"), do)

    def _throw_away(self, path: str) -> str:
        if self._work.throw_away(path):
            return f"{path} is in the trash; {self._key('tree.undo')} takes that back."
        return f"{path} is in the trash, and too large to be taken back from here."

    def undo(self) -> None:
        """Take the last step back."""

        def back() -> str:
            words = self._work.undo()
            return f"Taken back: {words}." if words else "Nothing was done here that could be taken back."

        self._do((), back, "{}")

    def stage(self, path: str) -> None:
        """Stage a file or folder, or take it out of the index."""
        is_staged = self._tree.is_staged(path)

        def do() -> str:
            if is_staged:
                self._workspace.git.unstage(path)
                return f"{path} is no longer staged."
            self._workspace.git.stage(path)
            return f"{path} is staged."

        self._do((), do, "{}")

    async def copy_path(self, path: str) -> None:
        """Put a path into the clipboard."""
        app = self._tree.app
        assert isinstance(app, ActionApp)
        if await app.copy(path):
            app.notify(f"Copied {path}.", timeout=2)
        else:
            app.notify(f"Asked the terminal to copy {path}; some terminals do not.", timeout=4)

    def _key(self, name: str) -> str:
        app = self._tree.app
        assert isinstance(app, ActionApp)
        return app.key_of(name)

    def _do(self, paths: tuple[str, ...], step: Callable[[], str], words: str, *, shows: bool = False) -> None:
        self._tree.run_worker(self._run(paths, step, words, shows), group="work")

    async def _run(self, paths: tuple[str, ...], step: Callable[[], str], words: str, shows: bool) -> None:
        def run() -> str:
            with ExitStack() as stack:
                for path in paths:
                    stack.enter_context(self._review.users_own(path))
                return step()

        app = self._tree.app
        try:
            said = await asyncio.to_thread(run)
        except TidegateError as error:
            app.notify(str(error), severity="error", timeout=8)
            return
        app.notify(words.format(visible(said)), timeout=4)
        await self._tree.read_again(said if shows else None)
