"""Sessions of an expert who fixes a practice task, in the agent's own messages, for a model to learn from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.practice.draw import Draw
from app.practice.expert.evidence import first_failure
from app.practice.expert.sentences import capital, difference, told
from app.practice.expert.stage import Stage
from app.practice.expert.wrong import wrong_edit
from app.practice.hunks import Hunk, hunk, without_rest
from app.practice.model import PlantedBug, PracticeTask

# How often a session shows what, of a thousand.
FORMS = {"plain": 420, "wrong-edit": 350, "refused": 160, "loop": 15, "gives-up": 55}
_WRONG_EDITS = {1: 45, 2: 25, 3: 18, 4: 12}
"""Before the right one, in sessions with wrong edits, and how often so many of a hundred."""
_GIVES_UP_AFTER = 5
"""Wrong edits: as many as a session has room for that a training reads whole."""
_REFUSALS = (1, 1, 1, 2, 2, 3)
"""How often a call that is refused is made before another one."""
_MORE_WRONG_EDITS = {0: 50, 1: 25, 2: 15, 3: 10}
"""After a learner's own."""
_SEARCHES = 0.03


class NotShown(Exception):
    """This task does not lend itself to this form of session."""


@dataclass(slots=True)
class Transcript:
    """Chat messages as the agent sends them, the system prompt left out. `masked` are the indices of assistant
    messages that are there as context only, such as a wrong edit that is corrected later; `deciding` says for
    each edit that is to be learnt in which message it is, which line it changes and what in it."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    masked: list[int] = field(default_factory=list)
    deciding: list[dict[str, Any]] = field(default_factory=list)


class Expert:
    """Works on one task. `stage` has its files."""

    def __init__(self, task: PracticeTask, stage: Stage, draw: Draw) -> None:
        self._task = task
        self._stage = stage
        self._draw = draw
        self._read: set[str] = set()
        self._output = ""
        self.transcript = Transcript([{"role": "user", "content": task.prompt}])

    def dense(self) -> Transcript:
        """Reads the file and fixes one bug after the other, in the file's order, without running the tests."""
        (path,) = {bug.fix.path for bug in self._task.bugs}
        self._call("", "read_file", file_path=path)
        for bug in self._task.bugs:
            self._edit(bug.fix, capital(told(bug.fix)))
        self.transcript.messages.pop()  # the result of the last edit teaches nothing
        return self.transcript

    def session(self, form: str) -> Transcript:
        """A whole session of that form, of FORMS. Raises NotShown where the task does not lend itself to it."""
        self._test("I'll run the tests.")
        if form == "loop":
            self._test("I'll run the tests.", masked=True)
            self._test("I'll run the tests.", masked=True)
        left = list(self._task.bugs)
        while left:
            failure = first_failure(self._output)
            if failure is None:
                raise NotShown
            bug = next((bug for bug in left if bug.fix.path == failure.path), left[0])
            bug = next((bug for bug in left if bug.function in failure.test.split()), bug)
            self._look(bug, failure.loads)
            if form == "wrong-edit" and len(left) == len(self._task.bugs):
                self._stumble(bug)
            elif form == "refused" and len(left) == len(self._task.bugs):
                self._misquote(bug.fix)
                self._edit(bug.fix, self._because(bug.fix))
            elif form == "gives-up":
                return self._give_up(bug)
            else:
                self._edit(bug.fix, self._because(bug.fix))
            left.remove(bug)
            wish = self._task.wrong_wish
            if not left and wish is not None:
                self._edit(wish, capital(told(wish)))
            self._test("Now the tests again.")
        if first_failure(self._output) is not None:
            raise NotShown
        fixed = " and ".join(f"`{bug.function}` in {bug.fix.path}" for bug in self._task.bugs)
        wished = "" if self._task.wrong_wish is None else " The other change is made too."
        self._say(f"Fixed {fixed}.{wished} All tests pass now.")
        return self.transcript

    def corrected(
        self,
        recorded: Sequence[Mapping[str, Any]],
        masked: Collection[int],
        turn: int,
        attempt: Mapping[str, Any],
    ) -> Transcript:
        """A recorded session once more, with the edit that a learner sent, `attempt`, before the right one in
        message `turn`, and with what puts it right. `masked` are the messages not to be learnt of the record.

        Raises NotShown where the learner's edit quotes what is not in the file, or the tests do not show it to
        be wrong.
        """
        for index, message in enumerate(recorded):
            if message["role"] != "assistant":
                continue
            if not message.get("tool_calls"):
                self._say(message["content"])
                continue
            name, arguments = _called(message)
            if index == turn:
                self._correct(message, attempt)
            elif name == "run_shell_command":
                self._test(message["content"], masked=index in masked)
            else:
                self._call(message["content"], name, masked=index in masked, **arguments)
        if first_failure(self._output) is not None:
            raise NotShown
        return self.transcript

    # Steps.

    def _look(self, bug: PlantedBug, loads: bool) -> None:
        path = bug.fix.path
        if path in self._read:
            return
        if self._draw.chance(_SEARCHES):
            self._call(
                f"I'll look for `{bug.function}`.", "grep_search", pattern=f"{bug.function}\\(", glob="*.py"
            )
        where = f"The failure is in `{bug.function}`." if loads else f"`{path}` does not load."
        self._call(where, "read_file", file_path=path)
        self._read.add(path)

    def _because(self, edit: Hunk, output: str | None = None) -> str:
        """What `output` of a test run says, by default the last one's, and what the edit changes."""
        failure = first_failure(self._output if output is None else output)
        said = "" if failure is None else failure.said
        return f"{said}: {told(edit)}" if said else capital(told(edit))

    def _edit(self, edit: Hunk, text: str, *, masked: bool = False, undoes: bool = False) -> None:
        before = self._stage.text(edit.path)
        if before.count(edit.old) != 1:
            raise NotShown
        if not masked and not undoes:
            lines = (edit.before[0] if edit.before else "", edit.after[0] if edit.after else "")
            was, will = difference(*(line.strip() for line in lines))
            place = {
                "message": len(self.transcript.messages),
                "line": lines[0] or lines[1],
                "was": was,
                "will": will,
            }
            self.transcript.deciding.append(place)
        old, new = without_rest(before, edit.old, edit.new)
        written = {"file_path": edit.path, "old_string": old, "new_string": new}
        result = self._call(text, "edit", masked=masked, **written)
        if not result.startswith("Edited"):
            raise NotShown

    def _test(self, text: str, *, masked: bool = False) -> None:
        self._output = self._call(text, "run_shell_command", masked=masked, command=self._task.test_command)

    def _call(self, text: str, name: str, *, masked: bool = False, **arguments: str) -> str:
        if masked:
            self.transcript.masked.append(len(self.transcript.messages))
        function = {"name": name, "arguments": arguments}
        call = {"type": "function", "function": function}
        self.transcript.messages.append({"role": "assistant", "content": text, "tool_calls": [call]})
        result = self._stage.call(name, arguments)
        self.transcript.messages.append({"role": "tool", "content": result})
        return result

    def _say(self, text: str) -> None:
        self.transcript.messages.append({"role": "assistant", "content": text})

    # What goes wrong.

    def _stumble(self, bug: PlantedBug) -> None:
        """Wrong edits, which the tests show to be wrong, then the right one."""
        start, because = self._stage.text(bug.fix.path), self._because(bug.fix)
        last = self._try_in_vain(bug, start, self._output, None, self._draw.weighted(_WRONG_EDITS))
        self._put_right(bug.fix, because, start, last)

    def _try_in_vain(
        self, bug: PlantedBug, start: str, output: str, last: Hunk | None, count: int
    ) -> Hunk | None:
        """`count` wrong edits of `start`, the file with the bug, of which a test run printed `output`: each
        instead of the one before, the first instead of `last`. Returns the one that is in the file now."""
        avoided = {self._stage.text(bug.fix.path)}
        for _ in range(count):
            wrong = wrong_edit(bug, start, avoided, self._draw)
            if wrong is None:
                raise NotShown
            avoided.add(wrong.applied(start))
            self._put_right(wrong, self._because(wrong, output), start, last, masked=True)
            self._test_in_vain()
            last = wrong
        return last

    def _correct(self, message: Mapping[str, Any], attempt: Mapping[str, Any]) -> None:
        """A learner's edit, which changes nothing or which the tests show to be wrong, perhaps further wrong
        ones, then the one of a recorded message."""
        _, right = _called(message)
        _, wrong = _called(attempt)
        path = right["file_path"]
        start = self._stage.text(path)
        fix = hunk(path, start, start.replace(right["old_string"], right["new_string"], 1))
        result = self._call(attempt["content"], "edit", masked=True, **wrong)
        if fix is None or wrong["file_path"] != path:
            raise NotShown
        if wrong["old_string"] == wrong["new_string"]:
            self._edit(fix, message["content"])
            return
        if not result.startswith("Edited"):
            raise NotShown  # the engine lets no model quote what is not there
        before = self._output
        self._test_in_vain()
        made: Hunk | None = Hunk(path, wrong["old_string"], wrong["new_string"], (), ())
        bug = next((bug for bug in self._task.bugs if bug.fix.applied(start) == fix.applied(start)), None)
        if bug is not None:
            made = self._try_in_vain(bug, start, before, made, self._draw.weighted(_MORE_WRONG_EDITS))
        self._put_right(fix, message["content"], start, made)

    def _test_in_vain(self) -> None:
        self._test("Now the tests again.")
        if first_failure(self._output) is None:
            raise NotShown

    def _put_right(
        self, fix: Hunk, because: str, start: str, wrong: Hunk | None, *, masked: bool = False
    ) -> None:
        """From what `wrong` made of `start` to `fix` of it: in one edit where that is the same line, else in
        two, of which the first is the wrong one turned round where it can be. `masked` is of the last edit."""
        path = fix.path
        now = self._stage.text(path)
        if now == start or wrong is None:
            self._edit(fix, because, masked=masked)
            return
        right = hunk(path, now, fix.applied(start))
        if right is None:
            raise NotShown
        if len(right.before) <= 1 and len(right.after) <= 1:
            self._edit(right, f"That was not it. {capital(self._because(right))}", masked=masked)
            return
        self._put_back(start, wrong)
        self._edit(fix, because, masked=masked)

    def _put_back(self, start: str, wrong: Hunk) -> None:
        """From what `wrong` made of `start` to `start`, by turning it round where that can be done."""
        now = self._stage.text(wrong.path)
        back = Hunk(wrong.path, wrong.new, wrong.old, (), ())
        if now.count(back.old) != 1 or back.applied(now) != start:
            back = hunk(wrong.path, now, start) or back
        self._edit(back, "That was not it; I'll put it back.", undoes=True)

    def _misquote(self, right: Hunk) -> None:
        """A call of edit that the tool refuses, perhaps made again as it was."""
        text = self._stage.text(right.path)
        old, new = without_rest(text, right.old, right.new)
        how = self._draw.integer(0, 4)
        places = [place for place, letter in enumerate(old) if letter.isalpha()]
        if how <= 3 or not places:
            if how <= 2:
                # It ends before what it was to change, the likeliest mistake of small models.
                ends = [place for place in range(1, len(old)) if text.count(old[:place]) == 1]
                old = old[: self._draw.choice([*ends, len(old)])]
            new = old
        else:
            place = self._draw.choice(places)
            old = old[:place] + old[place + 1 :]
        for _ in range(self._draw.choice(_REFUSALS)):
            result = self._call(
                self._because(right), "edit", masked=True, file_path=right.path, old_string=old, new_string=new
            )
            if result.startswith("Edited"):
                raise NotShown

    def _give_up(self, bug: PlantedBug) -> Transcript:
        """Wrong edits, the last of which is put back, and the truth about it."""
        start, failure = self._stage.text(bug.fix.path), first_failure(self._output)
        last = self._try_in_vain(bug, start, self._output, None, _GIVES_UP_AFTER)
        assert failure is not None and last is not None
        self._put_back(start, last)
        said = failure.said or f"the failure is in `{bug.function}`"
        self._say(f"The tests still fail: {said}. I could not find the bug.")
        return self.transcript


def _called(message: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The tool that a message calls, and its arguments."""
    function = message["tool_calls"][0]["function"]
    return function["name"], dict(function["arguments"])
