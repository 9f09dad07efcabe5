"""Sessions of an expert who fixes a practice task, in the agent's own messages, for a model to learn from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.practice.bugs.kinds import KINDS, changes
from app.practice.draw import Draw
from app.practice.expert.evidence import first_failure
from app.practice.expert.sentences import capital, difference, told
from app.practice.expert.stage import Stage
from app.practice.functions.function import Function
from app.practice.hunks import Hunk, hunk, without_rest
from app.practice.model import PlantedBug, PracticeTask

# How often a session shows what, of a thousand.
FORMS = {"plain": 650, "wrong-edit": 210, "refused": 80, "loop": 15, "gives-up": 45}
_WRONG_KINDS = (
    "wrong-operator",
    "wrong-comparison",
    "wrong-constant",
    "wrong-variable",
    "wrong-call",
    "off-by-one",
    "misspelt-name",
    "missing-conversion",
)
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

    def _because(self, edit: Hunk) -> str:
        failure = first_failure(self._output)
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
        """A wrong edit or two, which the tests show to be wrong, then the right one."""
        start, because = self._stage.text(bug.fix.path), self._because(bug.fix)
        for _ in range(1 if self._draw.chance(0.8) else 2):
            wrong = self._wrong_edit(bug, bug.fix.applied(start))
            self._edit(wrong, self._because(wrong), masked=True)
            self._test_in_vain()
        self._put_right(bug.fix, because, start, wrong)

    def _correct(self, message: Mapping[str, Any], attempt: Mapping[str, Any]) -> None:
        """A learner's edit, which changes nothing or which the tests show to be wrong, then the one of a
        recorded message."""
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
        self._test_in_vain()
        made = Hunk(path, wrong["old_string"], wrong["new_string"], (), ())
        self._put_right(fix, message["content"], start, made)

    def _test_in_vain(self) -> None:
        self._test("Now the tests again.")
        if first_failure(self._output) is None:
            raise NotShown

    def _put_right(self, fix: Hunk, because: str, start: str, wrong: Hunk) -> None:
        """From what `wrong` made of `start` to `fix` of it: in one edit where that is the same line, else in
        two, of which the first is the wrong one turned round where it can be."""
        path = fix.path
        now = self._stage.text(path)
        if now == start:
            self._edit(fix, because)
            return
        right = hunk(path, now, fix.applied(start))
        back = Hunk(path, wrong.new, wrong.old, (), ())
        if now.count(back.old) != 1 or back.applied(now) != start:
            back = hunk(path, now, start) or back
        if right is None:
            raise NotShown
        if len(right.before) <= 1 and len(right.after) <= 1:
            self._edit(right, f"That was not it. {capital(self._because(right))}")
            return
        self._edit(back, "That was not it; I'll put it back.", undoes=True)
        self._edit(fix, because)

    def _wrong_edit(self, bug: PlantedBug, right: str) -> Hunk:
        """An edit in the bug's function that somebody might try, and that does not make the file `right`."""
        text, path = self._stage.text(bug.fix.path), bug.fix.path
        function = _function_in(right, bug.function)
        if function is None or any("while" in line for line in function.lines):
            raise NotShown
        kinds = [bug.kind] * 3 + [kind for kind in _WRONG_KINDS if kind in KINDS]
        for _ in range(12):
            possible = changes(function, self._draw.choice(kinds), self._draw)
            if not possible:
                continue
            change = self._draw.choice(possible)
            line = function.lines[change.first] if change.last - change.first == 1 else ""
            if not line or len(change.lines) != 1:
                continue
            if bug.fix.after == (line,) and len(bug.fix.before) == 1 and self._draw.chance(0.7):
                line = bug.fix.before[0]
            if f"\n{text}".count(f"\n{line}\n") != 1:
                continue
            wrong = hunk(path, text, f"\n{text}".replace(f"\n{line}\n", f"\n{change.lines[0]}\n")[1:])
            if wrong is not None and wrong.applied(text) != right:
                return wrong
        raise NotShown

    def _misquote(self, right: Hunk) -> None:
        """A call of edit that the tool refuses."""
        text = self._stage.text(right.path)
        old, new = without_rest(text, right.old, right.new)
        how = self._draw.integer(0, 3)
        places = [place for place, letter in enumerate(old) if letter.isalpha()]
        if how <= 1 or not places:
            if how == 0:
                # It ends before what it was to change, the likeliest mistake of small models.
                ends = [place for place in range(1, len(old)) if text.count(old[:place]) == 1]
                old = old[: self._draw.choice([*ends, len(old)])]
            new = old
        else:
            place = self._draw.choice(places)
            old = old[:place] + (old[place] * 2 if how == 2 else "") + old[place + 1 :]
        result = self._call(
            self._because(right), "edit", masked=True, file_path=right.path, old_string=old, new_string=new
        )
        if result.startswith("Edited"):
            raise NotShown

    def _give_up(self, bug: PlantedBug) -> Transcript:
        """Three wrong edits, and the truth about it."""
        right = bug.fix.applied(self._stage.text(bug.fix.path))
        for _ in range(3):
            wrong = self._wrong_edit(bug, right)
            self._edit(wrong, self._because(wrong), masked=True)
            self._test_in_vain()
        failure = first_failure(self._output)
        assert failure is not None
        said = failure.said or f"the failure is in `{bug.function}`"
        self._say(f"The tests still fail: {said}. I could not find the bug.")
        return self.transcript


def _called(message: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The tool that a message calls, and its arguments."""
    function = message["tool_calls"][0]["function"]
    return function["name"], dict(function["arguments"])


def _function_in(text: str, name: str) -> Function | None:
    """The function as it stands in a file."""
    lines = text.removesuffix("\n").split("\n")
    starts = [index for index, line in enumerate(lines) if line.startswith((f"def {name}(", f"class {name}:"))]
    if len(starts) != 1:
        return None
    end = next(
        (index for index in range(starts[0] + 1, len(lines)) if lines[index][:1] not in ("", " ")), len(lines)
    )
    while not lines[end - 1].strip():
        end -= 1
    return Function("", name, tuple(lines[starts[0] : end]), ())
