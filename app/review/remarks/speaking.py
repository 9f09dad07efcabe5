"""What the agent says in the review, put where it belongs."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from app.review.errors import ReviewError
from app.review.log.entries import Commented
from app.review.model import FileChange, Hunk
from app.review.remarks.model import Note, ReadingOrder, Said
from app.review.remarks.store import RemarkStore

LONGEST = 240
"""Characters of a note, which is one line; what is more is cut."""
_NEAR = 5  # lines beside a change that still mean it: lines move while a file is edited


def speak(
    said: Said, changes: Iterable[FileChange], comments: Mapping[int, Commented], store: RemarkStore
) -> str:
    """Keep what was said; `changes` are those under review. Returns a sentence on what was done, for the agent.

    Raises ReviewError, with what would be right, where there is no such hunk or comment, or nothing was said.
    """
    done: list[str] = []
    text = _one_line(said.text)
    if said.order:
        for old in store.all():
            if isinstance(old, ReadingOrder):
                store.change(old, "")
        store.add(ReadingOrder(0, "", 0, "", "\n".join(said.order)))
        done.append("The order is proposed.")
    if said.comment:
        done.append(_reply(said, text, changes, comments, store))
    elif text:
        if not said.path:
            raise ReviewError("A note needs `at`, PATH:LINE of your change, or a comment's number")
        hunk, line = _hunk_at(said.path, said.line, changes)
        _put_note(Note(0, said.path, line, _text_of(hunk, line), text, hunk=hunk.id), store)
        done.append("Noted.")
    if not done:
        raise ReviewError("Nothing was said: give text with `at`, a comment, or an order")
    return " ".join(done)


def _reply(
    said: Said,
    text: str,
    changes: Iterable[FileChange],
    comments: Mapping[int, Commented],
    store: RemarkStore,
) -> str:
    entry = comments.get(said.comment)
    if entry is None:
        known = ", ".join(map(str, comments)) or "there are none"
        raise ReviewError(f"There is no comment {said.comment} (comments: {known})")
    if not (text or said.is_done):
        raise ReviewError("A reply needs text, or done")
    done_by = ""
    if said.is_done and said.path:
        hunk, line = _hunk_at(said.path, said.line, changes)
        done_by = hunk.id
        text = f"{text} ({said.path}:{line})" if text else f"{said.path}:{line}"
    store.add(
        Note(
            0,
            entry.path,
            entry.line,
            entry.quoted,
            text or "as asked",
            entry.source,
            entry.hunk,
            entry.comment,
            said.is_done,
            done_by,
        )
    )
    return "The comment is marked as done." if said.is_done else "Replied."


def _put_note(note: Note, store: RemarkStore) -> None:
    """Keep a note, in the place of an earlier one on the same line."""
    for old in store.all():
        if isinstance(old, Note) and replace(old, id=0, text=note.text) == note:
            store.change(old, note.text)
            return
    store.add(note)


def _hunk_at(path: str, line: int, changes: Iterable[FileChange]) -> tuple[Hunk, int]:
    """The hunk of a file that `line` is in, or nearly, and the line of it that is meant."""
    change = next((change for change in changes if change.path == path), None)
    if change is None:
        raise ReviewError(f"No change of yours in {path} is under review")
    if not line:
        return change.hunks[0], _changed(change.hunks[0])[0]
    hunk = min(change.hunks, key=lambda one: min(abs(number - line) for number in _changed(one)))
    nearest = min(_changed(hunk), key=lambda number: abs(number - line))
    if hunk.after_start <= line < hunk.after_start + hunk.after_count:
        return hunk, line
    if abs(nearest - line) > _NEAR:
        places = ", ".join(f"{_changed(one)[0]}-{_changed(one)[-1]}" for one in change.hunks)
        raise ReviewError(f"Line {line} of {path} is in no change of yours; they are at lines {places}")
    return hunk, nearest


def _changed(hunk: Hunk) -> list[int]:
    """The numbers of the lines that a hunk adds; where it adds none, of the line at which it removes some."""
    added = [line.after_number for line in hunk.lines if line.kind == "added" and line.after_number]
    if added:
        return added
    last = hunk.after_start
    for line in hunk.lines:
        if line.kind == "removed":
            break
        last = line.after_number or last
    return [last]


def _text_of(hunk: Hunk, number: int) -> str:
    return next((line.text for line in hunk.lines if line.after_number == number), "")


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"
