"""What the files were like that the agent changes in a turn."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from typing_extensions import override

from app.review.model import FileImage, FileSummary
from app.review.port import ChangeRecorder
from app.review.remarks.model import Said

Check = Callable[[Mapping[str, bytes | None]], Awaitable[str]]
"""Says what the model should know of its changes, "" for nothing. It is given what each file held before the
turn, by path; None where there was none."""


class Touched(ChangeRecorder):
    """A recorder that tells another of everything, and keeps the first image of each file in a turn."""

    def __init__(self, recorder: ChangeRecorder) -> None:
        self._recorder = recorder
        self.before: dict[str, bytes | None] = {}
        """By path, what was there before the turn; None where nothing was."""

    @override
    def begin_turn(self, turn: int, session: str = "", words: str = "") -> None:
        self.before.clear()
        self._recorder.begin_turn(turn, session, words)

    @override
    def record(self, path: str, before: FileImage | None, after: FileImage | None) -> None:
        self.before.setdefault(path, before.data if before is not None else None)
        self._recorder.record(path, before, after)

    @override
    def begin_call(self, call: str) -> None:
        self._recorder.begin_call(call)

    @override
    def end_turn(self, turn: int) -> None:
        self._recorder.end_turn(turn)

    @override
    def command_started(self, named: Sequence[str] = ()) -> None:
        self._recorder.command_started(named)

    @override
    def command_finished(self, still_runs: bool = False) -> tuple[str, ...]:
        return self._recorder.command_finished(still_runs)

    @override
    def feedback(self) -> str:
        return self._recorder.feedback()

    @override
    def say(self, said: Said) -> str:
        return self._recorder.say(said)

    @override
    def turn_files(self) -> tuple[FileSummary, ...]:
        return self._recorder.turn_files()

    @override
    def retell(self, turn: int, session: str) -> None:
        self._recorder.retell(turn, session)
