"""Stop strings in a stream: text is held back exactly as long as it may still become one."""

from collections.abc import Sequence


class StopStrings:
    """Cuts a stream of text before the first occurrence of any of the given strings."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = tuple(string for string in strings if string)
        self._held = ""
        self.stopped = False

    def add(self, text: str) -> str:
        """What is certain to precede any stop string. After `stopped` nothing more comes."""
        if self.stopped:
            return ""
        held = self._held + text
        found = [at for string in self._strings if (at := held.find(string)) >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return held[: min(found)]
        keep = max((_overlap(held, string) for string in self._strings), default=0)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def finish(self) -> str:
        """What was held back, now that no stop string can follow."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, string: str) -> int:
    """The length of the longest end of `text` that `string` begins with, short of all of it."""
    for length in range(min(len(text), len(string) - 1), 0, -1):
        if text.endswith(string[:length]):
            return length
    return 0
