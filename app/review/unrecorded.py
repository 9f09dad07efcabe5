"""A change recorder for files that nobody reviews."""

from collections.abc import Sequence

from app.review.model import FileImage, FileSummary
from app.review.remarks.model import Said


class Unrecorded:
    """A ChangeRecorder that records nothing."""

    def begin_turn(self, turn: int, session: str = "", words: str = "") -> None: ...

    def record(self, path: str, before: FileImage | None, after: FileImage | None) -> None: ...

    def begin_call(self, call: str) -> None: ...

    def command_started(self, named: Sequence[str] = ()) -> None: ...

    def command_finished(self, still_runs: bool = False) -> tuple[str, ...]:  # noqa: ARG002
        return ()

    def end_turn(self, turn: int) -> None: ...

    def retell(self, turn: int, session: str) -> None: ...

    def feedback(self) -> str:
        return ""

    def say(self, said: Said) -> str:  # noqa: ARG002
        return "Nobody reviews this: it was not kept."

    def turn_files(self) -> tuple[FileSummary, ...]:
        return ()
