"""Stop strings in a stream: text is held back as long as it may be the beginning of one."""

from collections.abc import Sequence


class StopStrings:
    """Cuts a stream of text before the first occurrence of any of the given strings."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = tuple(string for string in strings if string)
        self._held = ""
        self.found: str | None = None
        """The string that has occurred."""

    @property
    def stopped(self) -> bool:
        """Whether one of the strings has occurred."""
        return self.found is not None

    def add(self, text: str) -> str:
        """More of the stream; returns the text that certainly precedes any stop string. After `stopped`,
        none."""
        if self.stopped:
            return ""
        held = self._held + text
        found = [(at, string) for string in self._strings if (at := held.find(string)) >= 0]
        if found:
            at, self.found = min(found)
            self._held = ""
            return held[:at]
        keep = max((_overlap(held, string) for string in self._strings), default=0)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def finish(self) -> str:
        """The text held back, at the end of the stream."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, string: str) -> int:
    """The length of the longest suffix of `text` that is a proper prefix of `string`."""
    for length in range(min(len(text), len(string) - 1), 0, -1):
        if text.endswith(string[:length]):
            return length
    return 0
