"""A streaming parser of tool calls in a reply.

Qwen3-Coder writes a call as

    <tool_call>
    <function=NAME>
    <parameter=KEY>
    VALUE
    </parameter>
    </function>
    </tool_call>

with raw values: nothing in them is escaped. So a closing tag counts only where the text after it fits, and is
part of the value anywhere else. Deviations that models write are accepted: no opening `<tool_call>`;
`</parameter>` doubled or missing; a tag without its `>`; a reply that ends before all is closed; a JSON object
as a function's body, or, as other Qwen models write calls, `{"name": ..., "arguments": ...}` inside
`<tool_call>`. Tags never become visible text, except right after a backtick, where they are quoted; other text
between tags stays visible. The result does not depend on how the reply is cut into pieces.
"""

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlx_model.chat.tools.arguments import ArgumentWriter


@dataclass(frozen=True, slots=True)
class VisibleText:
    """The next piece of the visible reply."""

    text: str


@dataclass(frozen=True, slots=True)
class CallOpened:
    """Tool call `index` (from 0) begins."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CallArguments:
    """The next piece of the JSON text of call `index`'s arguments."""

    index: int
    fragment: str


ReplyPart = VisibleText | CallOpened | CallArguments

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_FUNCTION, _FUNCTION_END = "<function=", "</function>"
_PARAMETER, _PARAMETER_END = "<parameter=", "</parameter>"

_IN_TEXT = (_OPEN, _FUNCTION, _CLOSE, _FUNCTION_END, _PARAMETER, _PARAMETER_END)
_IN_FUNCTION = (_PARAMETER, _PARAMETER_END, _FUNCTION_END, _CLOSE, _OPEN, _FUNCTION)
# What may follow a closing tag, white space aside; the reply's end may follow each.
_AFTER = {
    _PARAMETER_END: (_PARAMETER, _PARAMETER_END, _FUNCTION_END, _CLOSE, _OPEN, _FUNCTION),
    _FUNCTION_END: (_CLOSE, _OPEN, _FUNCTION),
    _CLOSE: (_OPEN, _FUNCTION),
}
_NAME = re.compile(r"([^<>\n]{0,200}?)(>|(?=[<\n]))")
_LONGEST_TAG = len(_PARAMETER) + 201
# An unfinished tag of at least this many characters at a reply's end is taken for one, and not shown.
_CLEARLY_A_TAG = 6

_Verdict = Literal["tag", "text", "unknown"]


class ToolCallParser:
    """Parses one reply. Feed it text as it comes, then call `finish` once."""

    def __init__(
        self,
        schemas: Mapping[str, Mapping[str, Any]],
        new_id: Callable[[], str] = lambda: f"call_{uuid.uuid4().hex[:24]}",
    ) -> None:
        """`schemas` are the parameters of the registered tools, by name."""
        self._schemas = schemas
        self._new_id = new_id
        self._buffer = ""
        self._ended = False
        self._truncated = False
        self._state: Callable[[], bool] = self._text
        self._parts: list[ReplyPart] = []
        self._arguments: ArgumentWriter | None = None
        self._previous = "\n"
        """The last character of visible text, or of a value, that is no longer in the buffer."""
        self._blank_line = True
        self._behind_call = False
        self._is_orphaned = False
        """Whether a `<tool_call>` was opened without a function in it."""
        self._untouched = False
        """Whether the opened function has no text yet."""
        self._searched = 0
        self.calls = 0
        self.has_closed_call = False
        """Whether a call was followed by `</tool_call>`."""

    def feed(self, text: str) -> list[ReplyPart]:
        """Takes the next piece of the reply; returns the parts that it completes."""
        self._buffer += text
        return self._advance()

    def finish(self, truncated: bool) -> list[ReplyPart]:
        """The parts held back, at the end of the reply. Arguments of an open call are closed, unless the reply
        was `truncated`: half a call must not look like a whole one."""
        self._ended, self._truncated = True, truncated
        return self._advance()

    def _advance(self) -> list[ReplyPart]:
        while self._state():
            pass
        parts, self._parts = self._parts, []
        return _merged(parts)

    # Each state consumes what it can of the buffer; it returns False where it needs more text.

    def _text(self) -> bool:
        tag = self._text_before(_IN_TEXT, self._tag_in_text)
        if tag is None:
            return False
        if tag == _FUNCTION:
            return self._function()
        if tag == _PARAMETER:
            self._is_orphaned = True
            return self._name(_PARAMETER) is not None
        self._take(len(tag))
        self._is_orphaned = self._is_orphaned and tag != _CLOSE
        if tag == _OPEN:
            self._state = self._opened
        elif tag == _CLOSE and self.calls:
            self.has_closed_call = True
        return True

    def _tag_in_text(self, tag: str, at: int) -> _Verdict:
        before = self._buffer[:at]
        if (before or self._previous)[-1:] == "`":
            return "text"
        if self._is_orphaned and tag in (_FUNCTION_END, _PARAMETER, _PARAMETER_END):
            return "tag"
        if tag == _PARAMETER:
            return self._parameter_in_text(at)
        if tag in (_FUNCTION_END, _PARAMETER_END):
            if self._behind_call and not before.strip():
                return "tag"
            following = self._buffer[at + len(tag) :].lstrip()
            if following.startswith((_CLOSE, _FUNCTION_END)):
                return "tag"
            may_follow = not self._ended and _may_begin(following, (_CLOSE, _FUNCTION_END))
            return "unknown" if may_follow else "text"
        if tag == _FUNCTION:
            name = _NAME.match(self._buffer, at + len(tag))
            line = before.rpartition("\n")
            begins_line = not line[2].strip() and (bool(line[1]) or self._blank_line)
            if name is not None:
                return "tag" if begins_line or name[1].strip(" \"'") in self._schemas else "text"
            if not self._ended and len(self._buffer) - at < _LONGEST_TAG:
                return "unknown"
            return "tag" if self._ended and begins_line else "text"
        return "tag"

    def _parameter_in_text(self, at: int) -> _Verdict:
        """Whether a parameter's tag without a function counts: it does on a line of its own, if some tool has
        the parameter."""
        line = self._buffer[:at].rpartition("\n")
        if line[2].strip() or not (line[1] or self._blank_line):
            return "text"
        name = _NAME.match(self._buffer, at + len(_PARAMETER))
        if name is None:
            is_open = not self._ended and len(self._buffer) - at < _LONGEST_TAG
            return "unknown" if is_open else "text"
        key = name[1].strip(" \"'")
        return (
            "tag" if any(key in schema.get("properties", ()) for schema in self._schemas.values()) else "text"
        )

    def _opened(self) -> bool:
        """After `<tool_call>`."""
        start = self._buffer.lstrip()
        if start.startswith(_FUNCTION):
            self._buffer = start
            return self._function()
        if start.startswith("{"):
            self._buffer = start
            self._searched = 0
            self._state = self._named_json
            return True
        if not self._ended and _may_begin(start, (_FUNCTION, "{", _CLOSE)):
            return False
        # No call after all; the tag is dropped, as are those that belong to it, and the rest is text.
        self._is_orphaned = True
        self._state = self._text
        return True

    def _function(self) -> bool:
        """At `<function=`."""
        name = self._name(_FUNCTION)
        if name is None:
            return False
        self._open_call(name)
        self._state = self._body
        return True

    def _body(self) -> bool:
        """Between a function's parameters."""
        assert self._arguments is not None
        start = self._buffer.lstrip()
        if self._untouched and start.startswith("{"):
            self._buffer = start
            self._searched = 0
            self._state = self._json_body
            return True
        tag = self._text_before(_IN_FUNCTION, lambda _tag, _at: "tag")
        if tag is None:
            if self._ended:
                self._close_call()
            return False
        if tag == _PARAMETER:
            return self._parameter()
        if tag != _PARAMETER_END:
            self._close_call()
        if tag in (_PARAMETER_END, _FUNCTION_END, _CLOSE):
            self._take(len(tag))
        if tag == _CLOSE:
            self.has_closed_call = True
        return True

    def _parameter(self) -> bool:
        """At `<parameter=`."""
        assert self._arguments is not None
        end = self._buffer.find(">") + 1
        if end == len(self._buffer) and not self._ended:
            return False  # a line break may follow, which is not part of the value
        key = self._name(_PARAMETER)
        if key is None:
            return False
        self._take(self._buffer.startswith("\n"))
        self._previous = "\n"
        self._untouched = False
        self._write(self._arguments.begin(key))
        self._state = self._value
        return True

    def _value(self) -> bool:
        """Inside a parameter's value."""
        assert self._arguments is not None
        at = -1
        verdict: _Verdict = "text"
        while verdict == "text":
            at = self._buffer.find("<", at + 1)
            if at < 0:
                break
            verdict = self._ends_value(at)
        if verdict == "unknown" or (at < 0 and not self._ended):
            certain = self._buffer if at < 0 else self._buffer[:at]
            # The last line break before the closing tag is not part of the value.
            certain = certain.removesuffix("\n")
            self._write(self._arguments.add(certain))
            self._take(len(certain))
            return False
        value = self._buffer if at < 0 else self._buffer[:at]
        self._write(self._arguments.add(value.removesuffix("\n")))
        self._take(len(value))
        if at < 0 and self._truncated:
            self._write(self._arguments.cut_short())
            self._state = self._nothing
            return False
        self._write(self._arguments.end())
        self._state = self._body
        return True

    def _ends_value(self, at: int) -> _Verdict:
        """Whether the `<` at this place ends the value."""
        assert self._arguments is not None
        rest = self._buffer[at : at + _LONGEST_TAG]
        begins_line = (self._buffer[:at] or self._previous)[-1] == "\n"
        for tag, followers in _AFTER.items():
            if rest.startswith(tag):
                if tag == _CLOSE and not begins_line:
                    return "text"
                following = self._buffer[at + len(tag) :].lstrip()
                if following.startswith(followers) or (self._ended and not following):
                    return "tag"
                return "unknown" if not self._ended and _may_begin(following, followers) else "text"
        if begins_line and rest.startswith(_PARAMETER):
            key = _NAME.match(rest, len(_PARAMETER))
            if key is not None:
                return "tag" if self._arguments.expects(key[1].strip(" \"'")) else "text"
            return "unknown" if not self._ended and len(rest) < _LONGEST_TAG else "text"
        return "unknown" if not self._ended and _may_begin(rest, (*_AFTER, _PARAMETER)) else "text"

    def _named_json(self) -> bool:
        """Inside `<tool_call>{`: a call in the JSON form of other models."""
        body = self._json_until((_CLOSE,))
        if body is None:
            return False
        call = _parsed(body)
        arguments = call.get("arguments", call.get("parameters", {})) if call is not None else None
        if call is not None and isinstance(call.get("name"), str) and isinstance(arguments, (dict, str)):
            self._open_call(call["name"])
            self._write(arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False))
            self._forget_call()
        else:
            self._buffer = body + self._buffer
            self._is_orphaned = True
            self._state = self._text
        return True

    def _json_body(self) -> bool:
        """Inside `<function=NAME>{`: arguments as one JSON object."""
        body = self._json_until((_FUNCTION_END, _CLOSE))
        if body is None:
            return False
        arguments = _parsed(body)
        if arguments is not None:
            self._write(json.dumps(arguments, ensure_ascii=False))
            self._forget_call()
            return True
        self._buffer = body + self._buffer
        self._untouched = False
        self._state = self._body
        return True

    def _nothing(self) -> bool:
        """After a truncated call."""
        return False

    def _json_until(self, tags: tuple[str, ...]) -> str | None:
        """Consumes the text before the first of these tags, or all of it at the reply's end."""
        found = [at for tag in tags if (at := self._buffer.find(tag, self._searched)) >= 0]
        if not found and not self._ended:
            self._searched = max(0, len(self._buffer) - len(_CLOSE))
            return None
        body = self._buffer[: min(found)] if found else self._buffer
        self._take(len(body))
        return body

    def _text_before(self, tags: tuple[str, ...], verdict: Callable[[str, int], _Verdict]) -> str | None:
        """Shows the text before the first of these tags, without the white space before the tag, and returns
        the tag; None when the buffer holds none. Text that may be part of a tag stays in the buffer."""
        at = -1
        while (at := self._buffer.find("<", at + 1)) >= 0:
            tag = next((tag for tag in tags if self._buffer.startswith(tag, at)), None)
            decided: _Verdict = "text"
            if tag is not None:
                decided = verdict(tag, at)
            elif (unclosed := self._unclosed(at, tags)) is not None:
                bare, is_certain = unclosed
                decided = verdict(f"{bare}>", at) if is_certain else "unknown"
                if decided == "tag":
                    tag = f"{bare}>"
                    self._buffer = f"{self._buffer[:at]}{tag}{self._buffer[at + len(bare) :]}"
            elif _may_begin(self._buffer[at : at + len(_CLOSE)], tags):
                decided = "unknown"
            if decided == "text":
                continue
            if decided == "unknown" and self._ended:
                # A tag that the end cut short.
                is_near_call = self._behind_call or self._is_orphaned or self._arguments is not None
                if not is_near_call and len(self._buffer) - at < _CLEARLY_A_TAG:
                    continue
                self._buffer = self._buffer[:at]
                break
            self._show(self._buffer[:at].rstrip())
            if decided == "tag":
                self._buffer = self._buffer[at:]
                return tag
            self._buffer = self._buffer[len(self._buffer[:at].rstrip()) :]
            return None
        shown = self._buffer if self._ended else self._buffer.rstrip()
        if self._ended and (self._behind_call or self._arguments is not None) and not shown.strip():
            shown = ""  # nothing but line breaks behind the last call
        self._show(shown)
        self._buffer = self._buffer[len(shown) :] if not self._ended else ""
        return None

    def _unclosed(self, at: int, tags: tuple[str, ...]) -> tuple[str, bool] | None:
        """The tag at this position that lacks only its ">", and whether that is certain yet."""
        for bare in (tag[:-1] for tag in tags if tag.endswith(">")):
            rest = self._buffer[at + len(bare) :]
            if self._buffer.startswith(bare, at) and rest:
                following = rest.lstrip(" \t")[:1]
                if following in ("", "\n", "\r", "<"):
                    return bare, bool(following) or self._ended
        return None

    def _show(self, text: str) -> None:
        if not text:
            return
        self._parts.append(VisibleText(text))
        self._previous = text[-1]
        line = text.rpartition("\n")
        self._blank_line = not line[2].strip() and (bool(line[1]) or self._blank_line)
        if text.strip():
            self._behind_call = self._untouched = False

    def _name(self, tag: str) -> str | None:
        """Consumes a tag and returns the name in it. The tag ends at its `>`, or where that is missing at the
        line's end or after too many characters; None: it has not ended yet."""
        found = _NAME.match(self._buffer, len(tag))
        if found is None and not self._ended and len(self._buffer) < _LONGEST_TAG:
            return None
        end = min(len(self._buffer), _LONGEST_TAG) if found is None else found.end()
        text = self._buffer[len(tag) : end] if found is None else found[1]
        self._take(end)
        return text.strip(" \"'")

    def _take(self, length: int) -> None:
        if length:
            self._previous = self._buffer[length - 1]
            self._buffer = self._buffer[length:]

    def _open_call(self, name: str) -> None:
        self._arguments = ArgumentWriter(self._schemas.get(name, {}))
        self._parts.append(CallOpened(self.calls, self._new_id(), name))
        self.calls += 1
        self._untouched = True
        self._is_orphaned = False

    def _write(self, fragment: str) -> None:
        if fragment:
            self._parts.append(CallArguments(self.calls - 1, fragment))

    def _close_call(self) -> None:
        assert self._arguments is not None
        if not (self._ended and self._truncated and not self._buffer):
            self._write(self._arguments.close())
        self._forget_call()

    def _forget_call(self) -> None:
        self._arguments = None
        self._state = self._text
        self._behind_call = True
        self._blank_line = True


def _may_begin(text: str, tags: tuple[str, ...]) -> bool:
    """Whether `text` is a proper prefix of one of the tags."""
    return any(len(text) < len(tag) and tag.startswith(text) for tag in tags)


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _merged(parts: list[ReplyPart]) -> list[ReplyPart]:
    """Joins neighbouring parts of one kind."""
    merged: list[ReplyPart] = []
    for part in parts:
        last = merged[-1] if merged else None
        if isinstance(part, VisibleText) and isinstance(last, VisibleText):
            merged[-1] = VisibleText(last.text + part.text)
        elif isinstance(part, CallArguments) and isinstance(last, CallArguments) and part.index == last.index:
            merged[-1] = CallArguments(part.index, last.fragment + part.fragment)
        else:
            merged.append(part)
    return merged
