"""Whether a tag in a reply's text opens or closes a call, or is text about calls.

In a fenced block and in a code span every tag is text. Elsewhere a tag that begins a line is one, unless prose
follows it in that line; behind other text it is one only if a call of one of the tools follows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlx_model.chat.tools.call_text import CLOSE, MARK, OPEN
from mlx_model.chat.tools.json_calls import calls_in
from mlx_model.chat.tools.prose import Prose, closes_span

FUNCTION, FUNCTION_END = "<function=", "</function>"
PARAMETER, PARAMETER_END = "<parameter=", "</parameter>"
# As attributes of XML, which some models write.
NAMED_FUNCTION, NAMED_PARAMETER = "<function name=", "<parameter name="

FUNCTIONS, PARAMETERS = (FUNCTION, NAMED_FUNCTION), (PARAMETER, NAMED_PARAMETER)
IN_TEXT = (OPEN, *FUNCTIONS, CLOSE, FUNCTION_END, *PARAMETERS, PARAMETER_END)
IN_FUNCTION = (*PARAMETERS, PARAMETER_END, FUNCTION_END, CLOSE, OPEN, *FUNCTIONS)
# What may follow a closing tag, white space aside; the reply's end may follow each.
AFTER = {
    PARAMETER_END: (*PARAMETERS, PARAMETER_END, FUNCTION_END, CLOSE, OPEN, *FUNCTIONS),
    FUNCTION_END: (CLOSE, OPEN, *FUNCTIONS),
    CLOSE: (OPEN, *FUNCTIONS),
}
NAME = re.compile(r"([^<>\n]{0,200}?)(>|(?=[<\n]))")
LONGEST_TAG = len(NAMED_PARAMETER) + 201
# What may follow `<function=NAME>`, white space aside.
IN_CALL = (*PARAMETERS, FUNCTION_END, "{")

Verdict = Literal["tag", "text", "unknown"]
"""unknown: more text decides it."""


@dataclass(frozen=True, slots=True)
class TagInText:
    """A tag in `text`, behind `at`; control tokens are marked there. `place`: the prose before it; `ended`: the
    reply has no more text; `is_near_call`: nothing but tags lies between it and a call."""

    schemas: Mapping[str, Mapping[str, Any]]
    text: str
    at: int
    place: Prose
    ended: bool
    exact: bool
    is_near_call: bool

    def verdict(self, tag: str) -> Verdict:
        """Whether the tag there is one of a call's, or text."""
        at, place = self.at, self.place
        if place.is_fenced:
            return "text"
        if place.span:
            line, newline, _ = self.text[at:].partition("\n")
            if not newline and not self.ended:
                return "unknown"
            if closes_span(line, place.span):
                return "text"
        behind = self.text[at + len(tag) :]
        is_near_call = self.is_near_call
        if tag in PARAMETERS:
            return self._parameter(tag)
        if tag in FUNCTIONS:
            return self._function(tag)
        if tag in (FUNCTION_END, PARAMETER_END):
            if is_near_call or not place.begins_line:
                return "tag" if is_near_call else "text"
            return self._followed(behind.lstrip(), (CLOSE, FUNCTION_END))
        if place.begins_line or (is_near_call and tag == CLOSE):
            if is_near_call or (self.exact and self.text[:at].endswith(MARK)):
                return "tag"
            # Followed by more prose it is prose.
            following = behind.lstrip(" \t")
            if not following:
                return "tag" if self.ended else "unknown"
            return "tag" if following[0] in "\r\n<{[" else "text"
        return self._call_in_sentence(behind) if tag == OPEN else "text"

    def _function(self, tag: str) -> Verdict:
        """Whether a function's tag without a `<tool_call>` before it counts: on a line of its own, if it is one
        of the tools or goes on like a call; in a line with other text only if both."""
        name = NAME.match(self.text, self.at + len(tag))
        if name is None:
            is_open = not self.ended and len(self.text) - self.at < LONGEST_TAG
            return "unknown" if is_open else "tag" if self.ended and self.place.begins_line else "text"
        is_known = name[1].strip(" \"'") in self.schemas
        following = self.text[name.end() :].lstrip(" \t")
        if not following and not self.ended:
            return "unknown"
        if self.place.begins_line and is_known:
            return "tag" if not following or following[0] in "\r\n<{" else "text"
        if not self.place.begins_line and not (is_known and following[:1] in ("\r", "\n")):
            return "text"
        return self._followed(following.lstrip(), IN_CALL)

    def _call_in_sentence(self, behind: str) -> Verdict:
        """Whether a `<tool_call>` behind other text opens a call: if one of the tools follows."""
        following = unmarked(behind).lstrip()
        tag = next((tag for tag in FUNCTIONS if following.startswith(tag)), None)
        if tag is not None:
            name = NAME.match(following, len(tag))
            if name is None:
                return "unknown" if not self.ended and len(following) < LONGEST_TAG else "text"
            return "tag" if name[1].strip(" \"'") in self.schemas else "text"
        if not following.startswith(("{", "[")):
            return self._followed(following, (*FUNCTIONS, "{", "["))
        body, closing, _ = following.partition(CLOSE)
        if not closing and not self.ended:
            return "unknown"
        calls = calls_in(body)
        return "tag" if calls and all(name in self.schemas for name, _ in calls) else "text"

    def _followed(self, following: str, tags: tuple[str, ...]) -> Verdict:
        """Whether one of these tags follows."""
        if following.startswith(tags):
            return "tag"
        return "unknown" if not self.ended and may_begin(following, tags) else "text"

    def _parameter(self, tag: str) -> Verdict:
        """Whether a parameter's tag without a function counts: it does on a line of its own, if some tool has
        the parameter."""
        if not self.place.begins_line:
            return "text"
        name = NAME.match(self.text, self.at + len(tag))
        if name is None:
            is_open = not self.ended and len(self.text) - self.at < LONGEST_TAG
            return "unknown" if is_open else "text"
        key = name[1].strip(" \"'")
        return "tag" if any(key in schema.get("properties", ()) for schema in self.schemas.values()) else "text"


def may_begin(text: str, tags: tuple[str, ...]) -> bool:
    """Whether `text` is a proper prefix of one of the tags."""
    return any(len(text) < len(tag) and tag.startswith(text) for tag in tags)


def unmarked(text: str) -> str:
    """A text without marks."""
    return text.replace(MARK, "")
