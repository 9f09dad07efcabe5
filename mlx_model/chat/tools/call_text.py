"""The text of one tool call as the grammar has it written, read as it comes.

    <tool_call>
    <function=NAME>
    <parameter=KEY>
    VALUE
    </parameter>
    </function>
    </tool_call>

`<tool_call>` and `</tool_call>` are control tokens, which no text spells: in text MARK stands before them. So
a value may contain any text, these tags included. A line `</parameter>` in it closes a line `<parameter=...>`
of the value itself, as in an example of a call. Where there is none, it ends the value if a line
`<parameter=KEY>` follows with a parameter that may still be given. Before `</function>` and the control token
it always does. A value that this would cut can be given in the other form, one JSON object in place of the
parameters.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

MARK = "\ud800"
"""In front of the text of a control token; text decoded from UTF-8 has no surrogates."""
OPEN, CLOSE = "<tool_call>", "</tool_call>"
END = "\n</parameter>\n"
FUNCTION_END = "</function>\n"
BITS = 64
"""llguidance's rule parameters are 64-bit: bit i says that parameter i has been written."""

# Names that can be written between `=` and `>` and parsed again.
_NAME = re.compile(r"[^<>\n\"' ](?:[^<>\n\"']{0,198}[^<>\n\"' ])?")
_FUNCTION = re.compile(r"\n<function=([^<>\n]*)>\n")
_PARAMETER = re.compile(r"<parameter=([^<>\n]*)>\n")
_PARAMETER_START, _PARAMETER_END = "<parameter=", "</parameter>"
_LONGEST = 220
"""Characters of a line with a name, and some."""


@dataclass(frozen=True, slots=True)
class ToolForm:
    """A tool's parameters that a call can spell, the required ones first. Of more than BITS, the others may be
    given more than once."""

    keys: tuple[str, ...]
    required: int

    def may_follow(self, key: str, written: frozenset[str]) -> bool:
        """Whether a parameter may be given after these."""
        return key in self.keys and (key not in written or self.keys.index(key) >= BITS)

    def is_complete(self, written: frozenset[str]) -> bool:
        """Whether a call may end after these."""
        return written.issuperset(self.keys[: min(self.required, BITS)])


def can_spell(name: str) -> bool:
    """Whether a call can name a tool or parameter so."""
    return _NAME.fullmatch(name) is not None


def tool_form(schema: Mapping[str, Any]) -> ToolForm:
    """The form of a tool with these `parameters`."""
    properties = schema.get("properties")
    known = [key for key in properties if can_spell(key)] if isinstance(properties, Mapping) else []
    wanted = schema.get("required")
    required = [key for key in known if isinstance(wanted, Sequence) and key in wanted]
    return ToolForm((*required, *(key for key in known if key not in required)), len(required))


@dataclass(frozen=True, slots=True)
class Read:
    """What more of a call's text gives: the tool's name; a parameter `key` that begins; more of its value; its
    end; all arguments as JSON text; the end of the call."""

    kind: Literal["name", "begin", "value", "end", "json", "close"]
    text: str = ""
    key: str = ""


class CallText:
    """Reads one call, from after the token that opens it."""

    __slots__ = (
        *("_begins_line", "_depth", "_forms", "_held"),
        *("broken", "form", "key", "name", "pending", "phase", "strayed", "written"),
    )

    def __init__(self, forms: Mapping[str, ToolForm]) -> None:
        self._forms = forms
        self.form = ToolForm((), 0)
        self.name = ""
        self.key = ""
        self.written: frozenset[str] = frozenset()
        self.pending = ""
        """Text that nothing has been made of yet."""
        self.phase: Literal["head", "body", "value", "json", "closed"] = "head"
        self.broken = False
        self.strayed = False
        """Whether a value has gone on where only its end could be meant: with a parameter that may not follow,
        or with a closing tag where a parameter is missing."""
        # Within a value: the line break before the pending text, which may belong to the value's end; whether
        # that text begins a line; how many parameters of the value itself are open.
        self._held = ""
        self._begins_line = True
        self._depth = 0

    def copy(self) -> "CallText":
        """Independent of this one from now on."""
        other = CallText(self._forms)
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    @property
    def structure(self) -> str | None:
        """What is written of the line that may follow the value's end; None in the midst of a value."""
        if self.phase != "value" or not self._held or not self.pending.startswith(_PARAMETER_END + "\n"):
            return None
        return self.pending[len(_PARAMETER_END) + 1 :]

    @property
    def is_nested(self) -> bool:
        """Whether the value itself has a parameter open."""
        return self._depth > 0

    @property
    def rest(self) -> str:
        """What of the text nothing has been made of yet, a line break before it included."""
        return self._held + self.pending

    @property
    def may_close(self) -> bool:
        """Whether the token that closes the call may come next, within a value that any text fits."""
        return self.structure == FUNCTION_END and self.form.is_complete(self.written)

    def add(self, text: str) -> list[Read]:
        """Takes more text in."""
        self.pending += text
        found: list[Read] = []
        steps = {"head": self._head, "body": self._body, "value": self._value, "json": self._json}
        while not self.broken and self.phase != "closed" and steps[self.phase](found):
            pass
        return found

    def finish(self) -> list[Read]:
        """The rest of a value that is cut short."""
        rest, self.pending, self._held = self.rest, "", ""
        return [Read("value", rest, self.key)] if self.phase == "value" and rest else []

    # Each step consumes what it can of the pending text; it returns False where it needs more.

    def _head(self, found: list[Read]) -> bool:
        line = _FUNCTION.match(self.pending)
        if line is None or line[1] not in self._forms:
            self.broken = line is not None or not _is_beginning(self.pending, "\n<function=")
            return False
        self.name, self.form = line[1], self._forms[line[1]]
        self._take(line.end())
        self.phase = "body"
        found.append(Read("name", self.name))
        return True

    def _body(self, found: list[Read]) -> bool:
        if self.pending.startswith("{"):
            self.phase = "json"
            return True
        if self._closes():
            return self._close(found)
        if self._begins(found):
            return True
        if self.pending.startswith(MARK + OPEN):
            self.phase = "closed"
            found.append(Read("close"))
            return False
        closings = (FUNCTION_END + MARK + CLOSE, MARK + CLOSE, MARK + OPEN)
        may_close = any(closing.startswith(self.pending) for closing in closings)
        self.broken = not may_close and not _is_beginning(self.pending, "<parameter=")
        return False

    def _value(self, found: list[Read]) -> bool:
        line, newline, rest = self.pending.partition("\n")
        if MARK in line:
            # Nobody held the call to its form: a control token ends it all the same.
            self._emit(found, line.partition(MARK)[0])
            self._end(found, 0)
            return True
        if not newline:
            is_tag = self._begins_line and line and _may_be_tag(line)
            if line and not is_tag:
                self._emit(found, line)
            return False
        if self._begins_line and line == _PARAMETER_END and self._held:
            follows = self._follows(rest)
            if follows is None:
                return False
            if follows:
                self._end(found, len(line) + 1)
                return self._close(found) if self._closes() else self._begins(found)
            self._depth = max(0, self._depth - 1)
        elif self._begins_line and _PARAMETER.fullmatch(line + "\n"):
            self._depth += 1
        self._emit(found, line)
        self._take(1)
        self._held, self._begins_line = "\n", True
        return True

    def _follows(self, rest: str) -> bool | None:
        """Whether the value has ended in front of this text; None: more text decides it."""
        closing = FUNCTION_END + MARK
        if rest.startswith(closing):
            return True
        if not self._depth and rest.startswith(_PARAMETER_START):
            lines = [f"<parameter={key}>\n" for key in self.form.keys if self._expects(key)]
            if any(rest.startswith(line) for line in lines):
                return True
            if any(line.startswith(rest) for line in lines):
                return None
            self.strayed = True
            return False
        if not self._depth and rest.startswith("</") and not self.form.is_complete(self.written):
            self.strayed = True
        may_begin = not self._depth and _PARAMETER_START.startswith(rest)
        return None if may_begin or closing.startswith(rest) else False

    def _emit(self, found: list[Read], line: str) -> None:
        """A piece of the value, with the line break before it."""
        if self._held or line:
            found.append(Read("value", self._held + line, self.key))
        self._take(len(line))
        self._held, self._begins_line = "", False

    def _json(self, found: list[Read]) -> bool:
        at = self.pending.find(MARK)
        if at < 0:
            return False
        found.append(Read("json", self.pending[:at].rstrip().removesuffix(FUNCTION_END.strip())))
        self._take(at)
        self.phase = "body"
        return True

    def _expects(self, key: str) -> bool:
        return self.form.may_follow(key, self.written)

    def _closes(self) -> bool:
        return self.pending.startswith((FUNCTION_END + MARK + CLOSE, MARK + CLOSE))

    def _end(self, found: list[Read], length: int) -> None:
        """The value has ended; so much of the pending text is its end."""
        self._take(length)
        found.append(Read("end", "", self.key))
        self.phase, self.key = "body", ""

    def _begins(self, found: list[Read]) -> bool:
        line = _PARAMETER.match(self.pending)
        if line is None or not self._expects(line[1]):
            return False
        self.key = line[1]
        self.written |= {self.key}
        self.phase = "value"
        self._held, self._begins_line, self._depth = "", True, 0
        self._take(line.end())
        found.append(Read("begin", "", self.key))
        return True

    def _close(self, found: list[Read]) -> bool:
        self._take(self.pending.find(CLOSE) + len(CLOSE))
        self.phase = "closed"
        found.append(Read("close"))
        return False

    def _take(self, length: int) -> None:
        self.pending = self.pending[length:]


def _may_be_tag(line: str) -> bool:
    """Whether an incomplete line may be one with a parameter's tag."""
    return _PARAMETER_END.startswith(line) or _is_beginning(line, _PARAMETER_START)


def _is_beginning(text: str, line: str) -> bool:
    """Whether a line that begins so and ends with a name and `>` may begin with `text`."""
    if line.startswith(text):
        return True
    return text.startswith(line) and len(text) < _LONGEST and not set("\n<>") & set(text[len(line) : -1])
