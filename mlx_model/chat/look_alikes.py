"""Protection against token injection: text from users, tools and files never becomes a control token.

A chat template inserts such text between its own markers, and the rendered string does not tell the two apart.
So before rendering, each supplied string that spells a control token, or could complete one together with the
template's text around it, gets a *mark* inside: random digits, which a template copies unchanged through
trimming, JSON and changes of case. In the rendered text a control token counts only where no mark interrupts
it; then the marks are removed. Strings without such spellings are left unchanged, so that templates render them
as usual.
"""

import re
import secrets
from collections.abc import Collection, Mapping
from typing import Any

# Keys that templates look up in messages, tools and schemas; marked ones would not be found.
_STRUCTURE = frozenset(
    {"role", "content", "reasoning_content", "tool_calls", "tool_call_id", "id", "function", "name"}
    | {"arguments", "description", "parameters", "properties", "required", "type", "items", "enum", "default"}
    | {"anyOf", "allOf", "oneOf"}
)

# Type names of JSON Schema, which templates compare; "object" is part of a control token of Qwen's.
_TYPES = frozenset({"function", "object", "array", "string", "number", "integer", "boolean", "null"})


class LookAlikes:
    """Marks supplied text for one rendering, with a new random `mark`."""

    def __init__(self, pattern: re.Pattern[str], control: Collection[str]) -> None:
        """`pattern` matches any of the `control` tokens' texts."""
        self.mark = f"{secrets.randbelow(10**40):040d}"
        self._pattern = pattern
        self._longest = max(map(len, control), default=0)
        self._prefixes = {text[:length] for text in control for length in range(1, len(text))}
        self._suffixes = {text[-length:] for text in control for length in range(1, len(text))}
        self._all = "\0".join(control)

    def marked(self, value: Any) -> Any:
        """`value` (of JSON types) with every string in it marked where needed, keys of mappings included."""
        if isinstance(value, str):
            return value if value in _TYPES else self._marked_text(value)
        if isinstance(value, Mapping):
            return {
                key if key in _STRUCTURE else self.marked(key): self.marked(item) for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.marked(item) for item in value]
        return value

    def _marked_text(self, text: str) -> str:
        core = text.strip()
        if not core:
            return text
        inside = self._pattern.sub(self._interrupted, core)
        # Marks go inside the surrounding white space, so that a template's trimming still works.
        start = text.index(core)
        before, after = text[:start], text[start + len(core) :]
        within = len(core) < self._longest and core in self._all
        lengths = range(1, min(len(core), self._longest) + 1)
        if within or any(core[:length] in self._suffixes for length in lengths):
            inside = self.mark + inside
        if within or any(core[-length:] in self._prefixes for length in lengths):
            inside += self.mark
        return before + inside + after

    def _interrupted(self, match: re.Match[str]) -> str:
        text = match.group()
        content = match.start(match.lastindex or 0) - match.start()
        return text[: content + 1] + self.mark + text[content + 1 :]
