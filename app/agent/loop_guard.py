"""Noticing that the agent goes round in circles."""

from collections import Counter

from app.model.messages import ToolCall

_TELL_MODEL = 3  # equal calls with equal results until the model is told
_TELL_USER = 5  # and until the user is asked


class LoopGuard:
    """Counts calls that had the same result: those that change nothing since something last changed; those
    that change something from the beginning, for one that can be made again was undone meanwhile. One for each
    turn."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, str, str]] = Counter()
        self._changes: Counter[tuple[str, str, str]] = Counter()

    def note(self, call: ToolCall, result: str, changed: bool) -> int:
        """Count this call; returns how often it has been made with this result."""
        if changed:
            self._seen.clear()
        counts = self._changes if changed else self._seen
        key = (call.name, call.arguments, result)
        counts[key] += 1
        return counts[key]

    @staticmethod
    def warning(count: int) -> str:
        """What the model is told with its result, "" mostly."""
        if count < _TELL_MODEL:
            return ""
        return f"\n[You have made this very call {count} times with this very result. Do something else.]"

    @staticmethod
    def is_stuck(count: int) -> bool:
        """Whether the user has to step in."""
        return count >= _TELL_USER
