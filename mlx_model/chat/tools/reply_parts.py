"""What the parser makes of a reply: visible text, and calls as they open and grow."""

from dataclasses import dataclass


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


def merged(parts: list[ReplyPart]) -> list[ReplyPart]:
    """Joins neighbouring parts of one kind."""
    joined: list[ReplyPart] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, VisibleText) and isinstance(last, VisibleText):
            joined[-1] = VisibleText(last.text + part.text)
        elif isinstance(part, CallArguments) and isinstance(last, CallArguments) and part.index == last.index:
            joined[-1] = CallArguments(part.index, last.fragment + part.fragment)
        else:
            joined.append(part)
    return joined
