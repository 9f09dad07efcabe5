"""Having a hunk written again, and choosing among the takes."""

from pathlib import Path

from app.agent.hunks.takes import HunkToWrite, Takes
from app.agent.port import HunkPort
from app.errors import TidegateError
from app.review.errors import ReviewError
from app.review.model import FileChange, FileImage, Hunk
from app.ui.base import ActionApp
from app.ui.diff.model.labels import Label
from app.ui.panes.review.context import ReviewContext
from app.ui.panes.review.hunks.question import QuestionLine
from app.ui.panes.review.hunks.takes_dialog import TakesDialog


def retake(context: ReviewContext, root: Path) -> None:
    """Ask how else the cursor's hunk should be, have it written again, and show the takes."""
    change, hunk = context.view.current_change, context.view.current_hunk
    if change is None or hunk is None or hunk.decision == "rejected" or context.work.desk.source:
        context.app.notify("Put the cursor on a hunk of the agent's to have it written again.", timeout=3)
        return
    agent = context.hunks()
    if agent is None:
        context.app.notify("Only the workspace has a model that writes.", severity="warning")
        return

    def wished(wish: str | None) -> None:
        if wish is not None:
            context.app.run_worker(_retake(context, agent, root / change.path, (change, hunk), wish))

    title = f"Other takes of {change.path}:{hunk.after_start}"
    hint = "How else? “shorter”, “without the helper”, or just Enter"
    context.app.push_screen(QuestionLine(title, hint, context.view.cursor_place), wished)


async def _retake(
    context: ReviewContext, agent: HunkPort, file: Path, about: tuple[FileChange, Hunk], wish: str
) -> None:
    (change, hunk), work, app = about, context.work, context.app
    assert isinstance(app, ActionApp)
    settings = app.settings

    def label(words: dict[str, Label]) -> None:
        context.view.model.labels.put("takes", words)
        context.view.refresh()

    def read() -> HunkToWrite:
        wrote = next((one for one in work.port.written.by().get(hunk.id, ()) if one.call), None)
        if wrote is None:
            raise ReviewError("The review does not know which call wrote this hunk", "it was written long ago")
        before = work.port.written.without(hunk.id)
        mode = before.mode if before is not None else 0o100644
        now = FileImage(file.read_bytes(), mode) if file.exists() else None
        return HunkToWrite(change.path, wrote.session, wrote.call, before, now, wish)

    label({hunk.id: Label(f"writing {settings.takes} takes…", "accent")})
    try:
        written = await work.run(read)
        found = await agent.takes(written, settings.takes, settings.takes_temperature)
    except (TidegateError, OSError) as error:
        app.notify(str(error), severity="error", timeout=8)
        return
    finally:
        label({})
    note = _note(found)
    if not found.takes:
        app.notify(f"No other take came of it: {note}.", timeout=6)
        return

    def chosen(index: int | None) -> None:
        if index is not None:
            after = found.takes[index].after
            put = lambda: work.port.written.put_instead(hunk.id, written.before, after, written.call)  # noqa: E731
            context.follow(put)

    takes = [
        (written.now, "As it is."),
        *((take.after, f"Differs: {take.difference}.") for take in found.takes),
    ]
    app.push_screen(TakesDialog(change.path, written.before, takes, note), chosen)


def _note(found: Takes) -> str:
    """What became of the takes that are not shown, "" if all are."""
    same = found.asked - found.unfit - len(found.takes)
    parts = [f"{same} of {found.asked} were the same as another" if same else ""]
    parts += [f"{found.unfit} of {found.asked} were no change of this file" if found.unfit else ""]
    return ", ".join(part for part in parts if part)
