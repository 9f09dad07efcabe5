"""A review for scripts: files, hunks, lines and comments as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.review.desks.desk import Desk, Seen
from app.review.exports.places import place_of
from app.review.model import Comment, FileChange, Hunk, printable


def as_json(desk: Desk, comments: Sequence[Comment]) -> dict[str, Any]:
    """What is reviewed, as a value that JSON can hold; bytes that are no UTF-8 become U+FFFD. Blocks on the
    disk and git."""
    changes = desk.changes()
    seen = desk.seen()
    return {
        "review": desk.title,
        "decisions": {"kept": desk.words.taken, "rejected": desk.words.dropped},
        "files": [_file(change, seen) for change in changes],
        "comments": [_comment(comment, changes) for comment in comments],
    }


def _file(change: FileChange, seen: Mapping[str, Seen]) -> dict[str, Any]:
    return {
        "path": printable(change.path),
        "previous_path": printable(change.previous_path) if change.previous_path else None,
        "kind": change.kind,
        "added": change.added,
        "removed": change.removed,
        "hunks": [_hunk(hunk, seen.get(hunk.id)) for hunk in change.hunks],
    }


def _hunk(hunk: Hunk, seen: Seen | None) -> dict[str, Any]:
    return {
        "id": hunk.id,
        "before": [hunk.before_start, hunk.before_count],
        "after": [hunk.after_start, hunk.after_count],
        "section": printable(hunk.section),
        "decision": hunk.decision,
        "seen": seen is not None and seen.is_whole,
        "lines": [
            {
                "kind": line.kind,
                "text": printable(line.text),
                "before": line.before_number,
                "after": line.after_number,
                **({} if line.has_newline else {"newline": False}),
            }
            for line in hunk.lines
        ],
    }


def _comment(comment: Comment, changes: Sequence[FileChange]) -> dict[str, Any]:
    place = place_of(comment, changes)
    return {
        "path": printable(comment.path),
        "line": comment.line,
        "side": place.side if place is not None else None,
        "quoted": printable(comment.quoted),
        "text": printable(comment.text),
        "hunk": comment.hunk,
        "told": comment.is_sent,
    }
