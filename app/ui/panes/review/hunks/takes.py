"""Having a hunk, a file or a turn written again, and choosing among the takes."""

from collections.abc import Callable

from textual.worker import Worker

from app.agent.hunks.takes import Takes, ToWrite
from app.agent.port import HunkPort
from app.errors import TidegateError
from app.review.model import TurnSummary, WrittenBy
from app.review.written.instead import Piece, PieceFacts
from app.ui.base import ActionApp
from app.ui.diff.model.labels import Label
from app.ui.panes.review.context import ReviewContext
from app.ui.panes.review.hunks.question import QuestionLine
from app.ui.panes.review.hunks.takes_dialog import TakesDialog

_HINT = "How else? “shorter”, “without the helper”, or just Enter"
_LONGEST_REASON = 100  # characters of why nothing came of a take


class Retaking:
    """One piece of the agent's work at a time that is written again."""

    def __init__(self) -> None:
        self._worker: Worker[None] | None = None
        self._show: Callable[[], object] | None = None
        """Shows takes that came while the user was elsewhere."""

    def here(self, context: ReviewContext) -> None:
        """The hunk under the cursor; on a file's heading, what the agent wrote into the file last. Instead,
        takes that are being written end, and those that have come meanwhile are shown."""
        view = context.view
        change, hunk, place = view.current_change, view.current_hunk, view.model.row(view.cursor_row)
        if self._stop(context):
            return
        if self._show is not None:
            show, self._show = self._show, None
            show()
            return
        if change is None or hunk is None or place is None or context.work.desk.source:
            context.app.notify("Put the cursor on what the agent wrote to have it written again.", timeout=3)
        elif place.hunk < 0:
            title = f"Other takes of what the agent last wrote in {change.path}"
            self._ask(context, Piece(path=change.path), title)
        elif hunk.decision == "rejected":
            context.app.notify("That was rejected: bring it back to have it written again.", timeout=3)
        else:
            self._ask(context, Piece(hunk=hunk.id), f"Other takes of {change.path}:{hunk.after_start}")

    def turn(self, context: ReviewContext, turn: TurnSummary) -> None:
        """All that a turn wrote."""
        if self._stop(context):
            return
        title = f"Other takes of turn {turn.turn}: {', '.join(turn.paths)}"
        self._ask(context, Piece(turn=turn.serial), title)

    def _stop(self, context: ReviewContext) -> bool:
        if self._worker is None or self._worker.is_finished:
            return False
        self._worker.cancel()
        context.app.notify("Stopped: nothing is written again.", timeout=3)
        return True

    def _ask(self, context: ReviewContext, piece: Piece, title: str) -> None:
        agent = context.hunks()
        if agent is None:
            context.app.notify("Only the workspace has a model that writes.", severity="warning")
            return

        def wished(wish: str | None) -> None:
            if wish is not None:
                self._worker = context.app.run_worker(self._write(context, agent, piece, wish))

        context.app.push_screen(QuestionLine(title, _HINT, context.view.cursor_place), wished)

    async def _write(self, context: ReviewContext, agent: HunkPort, piece: Piece, wish: str) -> None:
        work, app = context.work, context.app
        assert isinstance(app, ActionApp)
        settings, key = app.settings, app.key_of("review.retake")

        def label(words: dict[str, Label]) -> None:
            context.view.model.labels.put("takes", words)
            context.view.refresh()

        def read() -> tuple[ToWrite, str, list[str]]:
            facts, calls = work.port.written.facts(piece), work.port.written.by()
            path = next(iter(facts.before)) if piece.hunk else piece.path
            wanted = ToWrite(facts.session, facts.calls, facts.before, facts.now, path, bool(piece.hunk), wish)
            title = path if piece.hunk else ", ".join(filter(None, [path, f"turn {facts.turn}"]))
            hunks = [
                hunk.id
                for change in context.view.model.changes
                for hunk in change.hunks
                if change.path in facts.before and _is_of(piece, facts, hunk.id, calls.get(hunk.id, ()))
            ]
            return wanted, title, hunks

        try:
            written, title, hunks = await work.run(read)
            words = f"writing {settings.takes} takes… {key} stops"
            label({name: Label(words, "accent") for name in hunks})
            found = await agent.takes(written, settings.takes, settings.takes_temperature)
        except (TidegateError, OSError) as error:
            app.notify(str(error), severity="error", timeout=8)
            return
        finally:
            label({})
        note = _note(found)
        if not found.takes:
            app.notify(f"No other take came of it: {note}.", timeout=8)
            return

        def chosen(index: int | None) -> None:
            if index is not None:
                take = found.takes[index]
                context.rewrite(lambda: work.port.written.put_instead(piece, take.begun, take.after))

        begun = {path: image for take in found.takes for path, image in take.begun.items()}
        takes = [
            (written.now, "As it is."),
            *((take.after, f"Differs: {take.difference}.") for take in found.takes),
        ]

        def show() -> None:
            app.push_screen(TakesDialog(title, begun, takes, note), chosen)

        if app.focused is context.view:
            show()
        else:  # what is typed elsewhere must not choose one
            self._show = show
            app.notify(f"Other takes of {title} are there: {key} in the review shows them.", timeout=8)


def _is_of(piece: Piece, facts: PieceFacts, hunk: str, calls: tuple[WrittenBy, ...]) -> bool:
    """Whether a hunk, written by these calls, is in a piece."""
    if piece.hunk:
        return hunk == piece.hunk
    return any((one.session, one.turn) == (facts.session, facts.turn) for one in calls)


def _note(found: Takes) -> str:
    """What became of the takes that are not shown, "" if all are."""
    same = found.asked - found.unfit - len(found.takes)
    like = "another" if found.takes else "what is there"
    parts = [f"{same} of {found.asked} were the same as {like}" if same else ""]
    why = found.why.strip().partition("\n")[0].rstrip(".:")
    why = why if len(why) <= _LONGEST_REASON else f"{why[: _LONGEST_REASON - 1]}…"
    parts += [f"nothing came of {found.unfit} of {found.asked} ({why})" if found.unfit else ""]
    return ", ".join(part for part in parts if part)
