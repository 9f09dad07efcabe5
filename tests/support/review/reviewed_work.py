"""An agent's edits and a user's decisions on them, in a real review and a real session, without a model."""

import json
from collections.abc import Sequence
from pathlib import Path

from app.agent.session.records import MessageAdded, TurnBegan, TurnClosed
from app.agent.session.session import new_journal
from app.model.messages import Message, ToolCall
from app.review.model import FileImage
from app.review.review import Review

Change = tuple[str, str, str]
"""A path, the text to replace, and what replaces it; the text is "" for write_file."""


class ReviewedWork:
    """One session in the workspace at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.review = Review(root)
        self.journal = new_journal(root)
        self.turn = 0
        self._calls = 0

    def reply(self, *changes: Change, words: str = "Do it.") -> frozenset[str]:
        """A turn in which the model makes these changes, a call each, in one reply; the ids of all pending
        hunks."""
        self.turn += 1
        self.review.begin_turn(self.turn, self.journal.id, words)
        self.journal.append(TurnBegan(self.turn, words))
        feedback = self.review.feedback()
        self.journal.append(MessageAdded(Message("user", f"{feedback}\n\n{words}".strip())))
        calls = tuple(self._call(change) for change in changes)
        self.journal.append(MessageAdded(Message("assistant", "Changing it.", calls)))
        for call, change in zip(calls, changes, strict=True):
            self._carry_out(change)
            self.journal.append(MessageAdded(Message("tool", f"Edited {change[0]}.", tool_call_id=call.id)))
        self.journal.append(MessageAdded(Message("assistant", "Done.")))
        self.journal.append(TurnClosed(self.turn, "done", ""))
        self.review.end_turn(self.turn)
        return self.pending()

    def pending(self) -> frozenset[str]:
        """The hunks on which nothing is decided."""
        changes = self.review.changes()
        return frozenset(hunk.id for change in changes for hunk in change.hunks if hunk.decision == "pending")

    def write(self, path: str, text: str) -> None:
        """The user writes a file."""
        (self.root / path).write_text(text)

    def comment(self, path: str, text: str) -> None:
        """The user comments on the first hunk of a file."""
        hunk = next(hunk for change in self.review.changes() if change.path == path for hunk in change.hunks)
        line = next(line for line in hunk.lines if line.kind == "added")
        self.review.comment(path, line.after_number or 0, line.text, text, hunk=hunk.id)

    def _call(self, change: Change) -> ToolCall:
        self._calls += 1
        path, old, new = change
        arguments = {"file_path": path, **({"old_string": old, "new_string": new} if old else {"content": new})}
        return ToolCall(f"call-{self._calls}", "edit" if old else "write_file", json.dumps(arguments))

    def _carry_out(self, change: Change) -> None:
        path, old, new = change
        place = self.root / path
        before = place.read_text() if place.exists() else None
        after = new if before is None or not old else before.replace(old, new, 1)
        assert before != after
        self.review.record(
            path, None if before is None else FileImage(before.encode()), FileImage(after.encode())
        )
        place.write_text(after)


def arguments(message: Message) -> Sequence[dict[str, str]]:
    """The arguments of a message's calls."""
    return [json.loads(call.arguments) for call in message.tool_calls]
