"""Noticing that the agent goes round in circles."""

from collections import Counter

from app.model.messages import ToolCall

_TELL_MODEL = 3  # equal calls with equal results until the model is told
_TELL_USER = 5  # and until the user is asked


class LoopGuard:
    """Counts calls that had the same result, since something last changed. One for each turn."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, str, str]] = Counter()

    def note(self, call: ToolCall, result: str, changed: bool) -> int:
        """Count this call; returns how often it has been made with this result."""
        if changed:
            self._seen.clear()
        key = (call.name, call.arguments, result)
        self._seen[key] += 1
        return self._seen[key]

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
