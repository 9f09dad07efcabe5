"""What the agent and the screen may ask of review."""

from typing import Protocol

from app.review.model import FileChange, FileImage


class ChangeRecorder(Protocol):
    """The agent's side: what it changed, and when a turn begins and ends."""

    def begin_turn(self, turn: int) -> None:
        """From here on decisions wait; differences between disk and log found now are the user's own."""
        ...

    def record(self, path: str, before: FileImage | None, after: FileImage | None) -> None:
        """The agent replaced `before` by `after` at `path` (None: no such file), durably noted BEFORE the
        disk is written, so that the pre-image is never lost."""
        ...

    def end_turn(self, turn: int) -> None:
        """Decisions may be made again; changes that shell commands made are found and recorded."""
        ...

    def feedback(self) -> str:
        """What the user rejected and said since the last call, as a compact message for the next turn; "" if
        nothing. Does not repeat itself."""
        ...


class ReviewPort(ChangeRecorder, Protocol):
    """The screen's side. Every method that decides raises app.review.errors.ReviewError when the disk refuses
    or a turn is writing; then nothing has changed."""

    def changes(self) -> tuple[FileChange, ...]:
        """All that the agent changed and the user has not yet settled by a commit, by path; the disk's
        present state is taken in first."""
        ...

    def keep(self, hunk_ids: frozenset[str]) -> None:
        """Decide that these stay."""
        ...

    def reject(self, hunk_ids: frozenset[str]) -> None:
        """Put back exactly the bytes that were there before these."""
        ...

    def undo(self) -> str:
        """Take the last decision back; returns a sentence that says what was undone, "" if nothing was."""
        ...

    def redo(self) -> str:
        """The inverse of `undo`."""
        ...

    def commit(self, message: str) -> str:
        """Commit exactly the kept hunks, whatever else is staged or changed staying as it is; returns a
        sentence with the short hash. Hooks run; a hook that fails raises ReviewError with its output."""
        ...
