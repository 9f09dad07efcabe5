"""A few words above the panes of the practice range: what comes next, and with which keys."""

import re
from collections.abc import Callable

from rich.text import Text
from textual.widgets import Static

from app.practice.range.course import Course
from app.practice.range.judging import Verdict
from app.ui.drawing.palette import Palette

_KEY = re.compile(r"\{([\w.]+)\}")

_READY = (
    "{prompt.send} sends the task that stands in the message field. The agent then works by itself (auto mode, "
    "{sandbox}, this folder only)."
)
_WORKING = "The agent runs the tests, reads, edits, and runs them again. Its changes will wait in the review."
_UNCHANGED = "The agent changed nothing. Ask it again in other words, or {practice.next} gives another task."
_REVIEWING = (
    "{decided} of {total} decided. {review.keep} keeps a hunk, {review.reject} rejects it, {review.undo} "
    "undoes that, {review.next_hunk} goes to the next, {review.comment} comments on a line (the agent hears "
    "it), {review.commit} commits what is kept. {workspace.review} goes to the review, {workspace.agent} to "
    "the agent."
)
_TWO = (
    " Two changes were asked for, and one of them does harm: read what stands around it, and reject that one."
)
_JUDGING = "Hidden tests are run on what you kept…"
_RIGHT = "{right} with what you kept. {practice.next} gives another task."
_WRONG = (
    "With what you kept, {passed} of {tests} pass. {review.undo} in the review undoes a decision; "
    "{practice.next} gives another task."
)
_BROKEN = (
    "With what you kept, the code does not load, and no hidden test runs. {review.undo} in the review undoes a "
    "decision; {practice.next} gives another task."
)
_HIDE = " {workspace.cancel} hides these words."


class PracticeWords(Static):
    """`key_of` names the key of an action. Hidden, they stay so until the course has come further."""

    def __init__(
        self, key_of: Callable[[str], str], *, model: str, asks_for_two: bool, is_confined: bool
    ) -> None:
        super().__init__("", id="practice-words", markup=False)
        self._key_of = key_of
        self._model = model
        self._asks_for_two = asks_for_two
        self._sandbox = "in a sandbox" if is_confined else "without a sandbox, as there is none here"
        self._stage = ""

    def show(self, course: Course) -> None:
        """Say what there is to say at this point."""
        if course.stage != self._stage:
            self._stage = course.stage
            self.display = True
        self.update(self._text(self._words(course)))

    def hide(self) -> bool:
        """Take the words away. False if they were not there."""
        was_shown, self.display = bool(self.display), False
        return was_shown

    def _words(self, course: Course) -> str:
        match course.stage:
            case "ready":
                return f"{_READY} {self._model}{_HIDE}".replace("{sandbox}", self._sandbox)
            case "working":
                return f"{_WORKING} {self._model}"
            case "unchanged":
                return _UNCHANGED
            case "reviewing":
                words = _REVIEWING.replace("{decided}", str(course.decided)).replace(
                    "{total}", str(course.total)
                )
                return words + (_TWO if self._asks_for_two else "") + _HIDE
            case "judging":
                return _JUDGING
            case "judged":
                assert course.verdict is not None
                return _outcome(course.verdict) + _HIDE

    def _text(self, words: str) -> Text:
        palette = Palette.from_variables(self.app.theme_variables)
        text, at = Text.assemble(("Practice  ", palette.strong)), 0
        for key in _KEY.finditer(words):
            text.append(words[at : key.start()], palette.muted)
            text.append(self._key_of(key[1]), palette.primary)
            at = key.end()
        return text.append(words[at:], palette.muted)


def _outcome(verdict: Verdict) -> str:
    passed, total = verdict.hidden.counts
    if not verdict.hidden.passed and passed == 0:
        return _BROKEN
    if verdict.hidden.passed:
        right = "The hidden test passes" if total == 1 else f"All {total} hidden tests pass"
        return _RIGHT.replace("{right}", right)
    # Where some but not all pass, there are several.
    return _WRONG.replace("{tests}", f"{total} hidden tests").replace("{passed}", str(passed))
