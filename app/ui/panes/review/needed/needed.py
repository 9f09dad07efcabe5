"""Finding out which hunks the tests need: begun by a key, in the background, ended by any key in the review."""

# ruff: noqa: PLC0415  what runs tests is imported when they run: the first frame does without it
import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.widget import Widget
from textual.worker import Worker

from app.errors import TidegateError
from app.review.desks.desk import HunkPart
from app.review.model import FileChange
from app.settings.settings import Settings, load_settings
from app.ui.base import ActionApp
from app.ui.diff.model.labels import Label, Tone
from app.ui.diff.view import DiffView
from app.ui.panes.review.desk_work import DeskWork

if TYPE_CHECKING:
    from app.review.needed.of_diff import DiffSubsets
    from app.review.needed.search import Search, Verdict
    from app.review.needed.subsets import Subsets
    from app.testing.needed.experiment import Progress

_TONES: "dict[Verdict, Tone]" = {
    "needed": "success",
    "tests indifferent": "muted",
    "fails alone": "warning",
    "breaks the tests": "error",
}


class NeededHunks:
    """One search at a time for the hunks in `view`, by the tests of the project at `root`. `widget` runs it;
    `changed` is called when `summary` is another."""

    def __init__(
        self, widget: Widget, view: DiffView, work: DeskWork, root: Path, changed: Callable[[], None]
    ) -> None:
        self._widget = widget
        self._view = view
        self._work = work
        self._root = root
        self._changed = changed
        self._worker: Worker[None] | None = None
        self._subsets: Subsets | DiffSubsets | None = None
        self._search: Search | None = None
        self._is_over = False
        self.summary = ""
        """How far it is, in a few words; "" when nothing is under way."""

    @property
    def is_running(self) -> bool:
        """Whether a search is under way."""
        return self._worker is not None

    def start(self) -> None:
        """Search, unless a search is under way."""
        if self._worker is None:
            self._worker = self._widget.run_worker(self._run(), group="needed")

    def cancel(self) -> bool:
        """End the search; what was found stays. False if there was none."""
        if self._worker is None:
            return False
        self._worker.cancel()
        return True

    def smallest(self) -> list[HunkPart]:
        """The smallest set of hunks with which the tests pass; if there is none to keep, it tells the user
        why."""
        words = self._work.desk.words
        found = self._search.smallest if self._search is not None else None
        if found is None:
            app = self._widget.app
            assert isinstance(app, ActionApp)
            self._tell(f"{app.key_of('review.needed')} finds the smallest set that passes first.")
        elif not found:
            self._tell("The tests pass without any of these hunks: there is none to keep.")
        elif not (words.take and words.drop):
            self._tell("Here it can only be told which hunks the tests need.")
        else:
            changes = self._view.model.changes
            return [HunkPart(one, hunk) for one in changes for hunk in one.hunks if hunk.id in found]
        return []

    def look(self, changes: Sequence[FileChange]) -> None:
        """These changes are shown now: what was found stays as long as they are the ones it was found for, or
        some of them."""
        subsets = self._subsets
        if subsets is not None and not subsets.holds(hunk for change in changes for hunk in change.hunks):
            self._subsets = self._search = None
        self._show()

    def _show(self) -> None:
        labels: dict[str, Label] = {}
        if self._search is not None and self._subsets is not None:
            labels = {name: Label(said, _TONES[said]) for name, said in self._search.verdicts.items()}
            if self._is_over:
                for name in self._subsets.hunks:
                    labels.setdefault(name, Label("not decided"))
        self._view.model.labels.put("needed", labels)
        self._view.refresh()

    def _tell(self, sentence: str, *, is_error: bool = False) -> None:
        self._widget.app.notify(sentence, severity="error" if is_error else "information", timeout=8)

    def _say(self, summary: str) -> None:
        self.summary = summary
        self._changed()

    async def _run(self) -> None:
        self._is_over = False
        try:
            self._say("tests: preparing")
            await self._look_for()
        except (TidegateError, OSError) as error:
            self._tell(str(error), is_error=True)
        except asyncio.CancelledError:
            if self._widget.is_attached:
                self._tell("Stopped: what the tests need is found only in part. The same key goes on.")
            raise
        finally:
            self._worker = None
            self._is_over = True
            if self._widget.is_attached:
                self._show()
                self._say("")

    async def _look_for(self) -> None:
        from app.testing.needed.experiment import Experiment
        from app.workspace.workspace import Workspace

        settings = await asyncio.to_thread(load_settings)
        line = await asyncio.to_thread(_command, self._root, settings)
        if line is None:
            self._tell("No command that runs the tests was found here; the tests' pane takes one.")
            return
        desk = self._work.desk
        subsets = await self._work.run(desk.subsets)
        if not subsets.movable:
            self._tell("There is no hunk to leave out.")
            return

        def go_on(progress: "Progress") -> None:
            self._show()
            self._say(f"tests: {progress.decided}/{progress.total}, run {progress.runs}")

        workspace = await asyncio.to_thread(Workspace, self._root)
        seconds = settings.needed_hunks_minutes * 60
        experiment = Experiment(
            workspace,
            subsets,
            line,
            seconds,
            go_on,
            local_servers=settings.local_servers,
            write_tree=desk.write_tree,
        )
        self._subsets, self._search = subsets, experiment.search
        finding = await experiment.run()
        if self._search is experiment.search:
            app = self._widget.app
            assert isinstance(app, ActionApp)
            can_keep = experiment.search.smallest and desk.words.take and desk.words.drop
            keeps = f" {app.key_of('review.smallest')} {desk.words.take}s the smallest set." if can_keep else ""
            self._tell(finding.sentence + keeps)


def _command(root: Path, settings: Settings) -> str | None:
    """The line that runs the tests."""
    from app.testing.command import configured_command, found_commands

    configured = configured_command(root, settings.test_commands)
    found = (configured,) if configured else found_commands(root)
    return found[0].line if found else None
