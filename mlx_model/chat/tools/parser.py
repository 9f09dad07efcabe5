"""A streaming parser of tool calls in a reply.

A call is meant where a reader would take it for one: not in a fenced block or a code span, not where prose
mentions a tag in mid-sentence. (Under a grammar the same rules, in GrammarConstraint, decide where it holds.)

A call that the grammar has held to its form, from a control token `<tool_call>` on, is read exactly, by
call_text. All others may deviate from it as models do: no opening `<tool_call>`; `</parameter>` doubled or
missing; a tag without its `>`; `<function name="NAME">`; a reply that ends before all is closed; a JSON object
as a function's body; `{"name": ..., "arguments": ...}` inside `<tool_call>`, or several in an array; such an
object as the whole reply. Values are raw there: a closing tag counts only where the text after it fits, and is
part of the value anywhere else. Tags of calls never become visible; other text between them stays visible. The
result does not depend on how the reply is cut into pieces.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from mlx_model.chat.tools.arguments import ArgumentWriter
from mlx_model.chat.tools.call_text import CLOSE, MARK, OPEN, CallText, Read, tool_form
from mlx_model.chat.tools.json_calls import calls_in, is_json, json_object, may_be_whole_call, whole_call
from mlx_model.chat.tools.openings import (
    AFTER,
    FUNCTION_END,
    FUNCTIONS,
    IN_FUNCTION,
    IN_TEXT,
    LONGEST_TAG,
    NAME,
    NAMED_PARAMETER,
    PARAMETER,
    PARAMETER_END,
    PARAMETERS,
    TagInText,
    Verdict,
    may_begin,
    unmarked,
)
from mlx_model.chat.tools.prose import Prose
from mlx_model.chat.tools.reply_parts import CallArguments, CallOpened, ReplyPart, VisibleText, merged

_BLANK = MARK + "".join(filter(str.isspace, map(chr, range(0x3001))))
"""White space (none lies beyond U+3000), and the mark of control tokens."""
# An unfinished tag of at least this many characters at a reply's end is taken for one, and not shown.
_CLEARLY_A_TAG = 6


class ToolCallParser:
    """Parses one reply. Feed it text as it comes, then call `finish` once."""

    def __init__(
        self,
        schemas: Mapping[str, Mapping[str, Any]],
        new_id: Callable[[], str] = lambda: f"call_{uuid.uuid4().hex[:24]}",
        exact: bool = False,
    ) -> None:
        """`schemas` are the parameters of the registered tools, by name. `exact`: calls that control tokens
        open, with MARK before them in the text, are held to their form by the grammar."""
        self._schemas = schemas
        self._exact = exact
        self._new_id = new_id
        self._buffer = ""
        self._is_blank = True
        """Whether the reply is white space until now."""
        self._ended = False
        self._truncated = False
        self._state: Callable[[], bool] = self._beginning
        self._held_call: CallText | None = None
        self._parts: list[ReplyPart] = []
        self._arguments: ArgumentWriter | None = None
        self._previous = "\n"
        """The last character of a value that is no longer in the buffer."""
        self._prose = Prose()
        self._behind_call = False
        self._is_orphaned = False
        """Whether a `<tool_call>` was opened without a function in it."""
        self._untouched = False
        """Whether the opened function has no text yet."""
        self.calls = 0
        self.has_closed_call = False
        """Whether a call was followed by `</tool_call>`."""

    def feed(self, text: str) -> list[ReplyPart]:
        """Takes the next piece of the reply; returns the parts that it completes."""
        self._is_blank = self._is_blank and (not text or text.isspace())
        may_be_exact = self._state in (self._beginning, self._text, self._exact_call)
        self._buffer += text if self._exact and may_be_exact else unmarked(text)
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
        return merged(parts)

    # Each state consumes what it can of the buffer; it returns False where it needs more text.

    def _beginning(self) -> bool:
        """As long as the whole reply may be one call in JSON."""
        if self._is_blank and not self._ended:
            return False
        text = unmarked(self._buffer)
        if not self._ended and may_be_whole_call(text, self._schemas):
            return False
        self._state = self._text
        call = None if self._truncated or not self._ended else whole_call(text, self._schemas)
        if call is not None:
            self._buffer = ""
            self._write_call(*call)
            self.has_closed_call = True
        return True

    def _text(self) -> bool:
        tag = self._text_before(IN_TEXT, self._tag_in_text)
        if tag is None:
            return False
        is_held = self._exact and self._buffer.startswith(MARK)
        if is_held and tag == OPEN:
            self._take(len(MARK + OPEN))
            self._held_call = CallText({name: tool_form(schema) for name, schema in self._schemas.items()})
            self._state = self._exact_call
            return True
        self._buffer = unmarked(self._buffer)
        if tag in FUNCTIONS:
            return self._function()
        if tag in PARAMETERS:
            self._is_orphaned = True
            return self._name(tag) is not None
        self._take(len(tag))
        self._is_orphaned = self._is_orphaned and tag != CLOSE
        if tag == OPEN:
            self._state = self._opened
        elif tag == CLOSE and self.calls:
            self.has_closed_call = True
        return True

    def _tag_in_text(self, tag: str, at: int, place: Prose) -> Verdict:
        is_near_call = self._is_orphaned or (self._behind_call and not unmarked(self._buffer[:at]).strip())
        seen = TagInText(self._schemas, self._buffer, at, place, self._ended, self._exact, is_near_call)
        if tag in PARAMETERS and self._is_orphaned and not place.is_fenced:
            return "tag"
        return seen.verdict(tag)

    def _exact_call(self) -> bool:
        """After a `<tool_call>` whose call is held to its form."""
        call = self._held_call
        assert call is not None
        text, self._buffer = self._buffer, ""
        for item in (*call.add(text), *(call.finish() if self._ended else ())):
            self._read(item)
        if call.phase == "closed" or call.broken:
            self._buffer, call.pending = call.pending, ""
        if call.phase == "closed":
            self.has_closed_call = True
            self._forget_call()
            return True
        if call.broken:
            self._buffer = unmarked(self._buffer)
            self._state = self._opened if call.phase == "head" else self._body
            return True
        if self._ended and self._arguments is not None:
            if call.phase == "value":
                self._write(self._arguments.cut_short() if self._truncated else self._arguments.end())
            if not self._truncated:
                self._write(self._arguments.close())
            self._state = self._nothing
        return False

    def _read(self, item: Read) -> None:
        if item.kind == "name":
            self._open_call(item.text)
            return
        if self._arguments is None:
            return  # all of them were one JSON object
        match item.kind:
            case "begin":
                self._write(self._arguments.begin(item.key))
            case "value":
                self._write(self._arguments.add(item.text))
            case "end":
                self._write(self._arguments.end())
            case "json":
                # Unchanged, for a number in it may exceed a float.
                text = item.text.strip() if is_json(item.text) else json.dumps({"input": item.text})
                self._write(text)
                self._arguments = None
            case "close":
                self._write(self._arguments.close())

    def _opened(self) -> bool:
        """After `<tool_call>`."""
        start = self._buffer.lstrip()
        if start.startswith(FUNCTIONS):
            self._buffer = start
            return self._function()
        if start.startswith(("{", "[")):
            self._buffer = start
            self._state = self._named_json
            return True
        if not self._ended and may_begin(start, (*FUNCTIONS, "{", "[", CLOSE)):
            return False
        # No call after all; the tag is dropped, as are those that belong to it, and the rest is text.
        self._is_orphaned = True
        self._state = self._text
        return True

    def _function(self) -> bool:
        """At `<function=`."""
        tag = next(tag for tag in FUNCTIONS if self._buffer.startswith(tag))
        name = self._name(tag)
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
            self._state = self._json_body
            return True
        tag = self._text_before(IN_FUNCTION, lambda _tag, _at, _place: "tag")
        if tag is None:
            if self._ended:
                self._close_call()
            return False
        if tag in PARAMETERS:
            return self._parameter(tag)
        if tag != PARAMETER_END:
            self._close_call()
        if tag in (PARAMETER_END, FUNCTION_END, CLOSE):
            self._take(len(tag))
        if tag == CLOSE:
            self.has_closed_call = True
        return True

    def _parameter(self, tag: str) -> bool:
        """At `<parameter=`."""
        assert self._arguments is not None
        end = self._buffer.find(">") + 1
        if end == len(self._buffer) and not self._ended:
            return False  # a line break may follow, which is not part of the value
        key = self._name(tag)
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
        verdict: Verdict = "text"
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

    def _ends_value(self, at: int) -> Verdict:
        """Whether the `<` at this place ends the value."""
        assert self._arguments is not None
        rest = self._buffer[at : at + LONGEST_TAG]
        begins_line = (self._buffer[:at] or self._previous)[-1] == "\n"
        for tag, followers in AFTER.items():
            if rest.startswith(tag):
                if tag == CLOSE and not begins_line:
                    return "text"
                following = self._buffer[at + len(tag) :].lstrip()
                if following.startswith(followers) or (self._ended and not following):
                    return "tag"
                return "unknown" if not self._ended and may_begin(following, followers) else "text"
        if begins_line and rest.startswith(PARAMETER):
            key = NAME.match(rest, len(PARAMETER))
            if key is not None:
                return "tag" if self._arguments.expects(key[1].strip(" \"'")) else "text"
            return "unknown" if not self._ended and len(rest) < LONGEST_TAG else "text"
        return "unknown" if not self._ended and may_begin(rest, (*AFTER, PARAMETER)) else "text"

    def _named_json(self) -> bool:
        """Inside `<tool_call>{`: a call in the JSON form of other models."""
        body = self._json_until((CLOSE,))
        if body is None:
            return False
        calls = calls_in(body)
        for name, arguments in calls or ():
            self._write_call(name, arguments)
        if not calls:
            self._buffer = body + self._buffer
            self._is_orphaned = True
            self._state = self._text
        return True

    def _write_call(self, name: str, arguments: dict[str, Any] | str) -> None:
        """A whole call."""
        self._open_call(name)
        self._write(arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False))
        self._forget_call()

    def _json_body(self) -> bool:
        """Inside `<function=NAME>{`: arguments as one JSON object."""
        body = self._json_until((FUNCTION_END, CLOSE))
        if body is None:
            return False
        arguments = json_object(body)
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
        """Consumes JSON before one of these tags, which may stand in its strings too, or all text at the
        reply's end."""
        first = -1
        at = 0
        while found := [place for tag in tags if (place := self._buffer.find(tag, at)) >= 0]:
            at = min(found)
            first = at if first < 0 else first
            if is_json(self._buffer[:at]):
                break
            at += 1
        else:
            if not self._ended:
                return None
            at = first if first >= 0 else len(self._buffer)
        body = self._buffer[:at]
        self._take(at)
        return body

    def _text_before(self, tags: tuple[str, ...], verdict: Callable[[str, int, Prose], Verdict]) -> str | None:
        """Shows the text before the first of these tags, without the white space before the tag, and returns
        the tag; None when the buffer holds none. Text that may be part of a tag stays in the buffer."""
        place, known = self._prose.copy(), 0
        at = -1
        while (at := self._buffer.find("<", at + 1)) >= 0:
            place.add(unmarked(self._buffer[known:at]))
            known = at
            tag = next((tag for tag in tags if self._buffer.startswith(tag, at)), None)
            decided: Verdict = "text"
            if tag is not None:
                decided = verdict(tag, at, place)
            elif (unclosed := self._unclosed(at, tags)) is not None:
                bare, is_certain = unclosed
                written, whole = self._buffer, f"{bare}>"
                self._buffer = f"{written[:at]}{whole}{written[at + len(bare) :]}"
                decided = verdict(whole, at, place) if is_certain else "unknown"
                if decided == "tag":
                    tag = whole
                else:
                    self._buffer = written
            elif not place.is_fenced and may_begin(self._buffer[at : at + len(NAMED_PARAMETER)], tags):
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
            if self._buffer[:at].endswith(MARK):
                at -= 1
            shown = self._buffer[:at].rstrip()
            self._show(shown)
            self._buffer = self._buffer[at if decided == "tag" else len(shown) :]
            if decided == "tag":
                self._prose = place
            return tag if decided == "tag" else None
        shown = self._buffer if self._ended else self._buffer.rstrip(_BLANK)
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
        text = unmarked(text)
        if not text:
            return
        self._parts.append(VisibleText(text))
        self._prose.add(text)
        if text.strip():
            self._behind_call = self._untouched = False

    def _name(self, tag: str) -> str | None:
        """Consumes a tag and returns the name in it. The tag ends at its `>`, or where that is missing at the
        line's end or after too many characters; None: it has not ended yet."""
        found = NAME.match(self._buffer, len(tag))
        if found is None and not self._ended and len(self._buffer) < LONGEST_TAG:
            return None
        end = min(len(self._buffer), LONGEST_TAG) if found is None else found.end()
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
        self._prose = Prose()
