"""Lists to choose from: the files of a review, and the turns whose changes are left to decide."""

import asyncio
from collections.abc import Callable, Collection, Sequence

from app.review.model import FileChange, TurnSummary
from app.review.port import ReviewPort
from app.ui.dialogs.listing import Listing, ListRow
from app.ui.diff.painter.headings import KIND_LETTERS
from app.ui.panes.review.context import ReviewContext
from app.ui.panes.review.progress import Progress

_ALL = "all"  # the key of the entry for all turns


def list_files(context: ReviewContext, progress: Progress) -> None:
    """List the files, to go to one."""
    model = context.view.model
    if not model.changes:
        return
    here = context.view.current_change

    def go(chosen: tuple[str, str] | None) -> None:
        if chosen is not None:
            context.view.go_to_file(chosen[1])

    title = f"{len(model.changes)} files, {progress.decided} of {progress.total} hunks decided"
    entries = file_entries(model.changes, [remark.path for remark in model.remarks])
    current = here.path if here is not None else ""
    context.app.push_screen(Listing(title, entries, {"enter": "goes there"}, current), go)


def file_entries(changes: Sequence[FileChange], commented: Sequence[str]) -> list[ListRow]:
    """A line for each file; `commented` has the path of each remark."""
    entries = []
    for change in changes:
        decided = sum(hunk.decision != "pending" for hunk in change.hunks)
        is_done = decided == len(change.hunks)
        mark, letter = "✓" if is_done else "○", KIND_LETTERS[change.kind]
        notes = commented.count(change.path)
        entries.append(
            ListRow(
                change.path,
                change.path,
                f"{mark} {letter} +{change.added:<4} −{change.removed:<4}",
                f"{decided}/{len(change.hunks)}" + (f"  ✎ {notes}" if notes else ""),
                "success" if is_done else "accent",
            )
        )
    return entries


async def list_turns(context: ReviewContext, retake: Callable[[ReviewContext, TurnSummary], None]) -> None:
    """List the turns, to keep or reject the changes of one, of it and later ones, or of all; `retake` has one
    written again."""
    port = context.work.port
    turns = await asyncio.to_thread(port.turns)
    if not turns:
        context.app.notify("No turn's changes are left to decide.", timeout=3)
        return

    def done(chosen: tuple[str, str] | None) -> None:
        if chosen is not None:
            verb, key = chosen
            serials = chosen_turns(turns, verb, key)
            if verb == "r":
                again = [one for one in turns if [one.serial] == serials]
                if again:
                    retake(context, again[0])
                else:
                    context.app.notify("One turn at a time is written again.", timeout=3)
                return
            context.run(lambda: _decide(port, serials, keeps=verb.lower() == "a"), None)

    verbs = {
        "a": "keeps",
        "x": "rejects",
        "A": "+ later",
        "X": "+ later",
        "r": "rewrites",
    }
    context.app.push_screen(Listing("The changes of", turn_entries(turns), verbs), done)


def turn_entries(turns: Sequence[TurnSummary]) -> list[ListRow]:
    """A line for each turn, the newest first, and one for all of them."""
    entries = [
        ListRow(str(one.serial), _first_line(one.words), f"turn {one.turn}", ", ".join(one.paths), "accent")
        for one in reversed(turns)
    ]
    all_of_them = ListRow(_ALL, "All of them", "", f"{len(turns)} turn{'' if len(turns) == 1 else 's'}")
    return [*entries, all_of_them]


def chosen_turns(turns: Sequence[TurnSummary], verb: str, key: str) -> list[int]:
    """The serial numbers of the turns that `verb` is for; a capital letter includes later turns."""
    if key == _ALL:
        return [one.serial for one in turns]
    first = int(key)
    return [one.serial for one in turns if one.serial == first or (verb.isupper() and one.serial > first)]


def _decide(port: ReviewPort, serials: Collection[int], *, keeps: bool) -> str:
    ids = port.hunk_ids(turns=serials)
    if keeps:
        port.keep(ids)
        return ""
    return port.reject(ids)


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "(no words)")
