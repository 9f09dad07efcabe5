"""Telling a model's thought apart from its answer, where the server leaves it in the text.

Three spellings are known: `<think>…</think>` before the answer; the same without its opening tag, which the
chat template has written already; and without its end, when the limit of tokens came first. Then all of it is
thought.
"""

from collections.abc import Iterator

from app.model.events import TextDelta, TextWasThought, ThoughtDelta

_OPEN, _CLOSE = "<think>", "</think>"

Words = TextDelta | ThoughtDelta | TextWasThought


class ThoughtSplitter:
    """Splits the text of one reply as it arrives. What may still become a tag is held back."""

    def __init__(self) -> None:
        self._held = ""
        self._thinks = False
        self._begun = False
        """Whether anything but white space was said."""
        self._is_certain = False
        """Whether no end of a thought can follow any more: there was one, or a call."""
        self._fences = 0
        self._given = ""
        """What has been given away of the line."""
        self._trims = False

    def is_apart(self) -> None:
        """The server tells thoughts apart itself, or a call has begun."""
        self._is_certain = True

    def add(self, text: str) -> Iterator[Words]:
        """What is certain with this piece of text."""
        self._held += text
        if not self._begun and not self._is_certain:
            start = self._held.lstrip()
            if start.startswith(_OPEN):
                self._held, self._thinks, self._begun = start.removeprefix(_OPEN), True, True
            elif _OPEN.startswith(start):
                return
        self._begun = True
        if self._thinks:
            yield from self._thought()
        if not self._thinks:
            yield from self._answer()

    def finish(self) -> Iterator[Words]:
        """What was held back."""
        held, self._held = self._held, ""
        if not held:
            return
        if held.strip() == _CLOSE and not (self._thinks or self._is_certain or self._fences % 2):
            yield TextWasThought()
        else:
            yield ThoughtDelta(held) if self._thinks else TextDelta(held)

    def _thought(self) -> Iterator[Words]:
        thought, tag, rest = self._held.partition(_CLOSE)
        if tag:
            self._thinks, self._is_certain, self._trims = False, True, True
            self._held = rest
        else:
            kept = next((n for n in range(len(_CLOSE) - 1, 0, -1) if thought.endswith(_CLOSE[:n])), 0)
            self._held = thought[len(thought) - kept :]
            thought = thought[: len(thought) - kept]
        if thought:
            yield ThoughtDelta(thought)

    def _answer(self) -> Iterator[Words]:
        if self._trims:
            # The line feeds behind a thought are the template's.
            self._held = self._held.lstrip()
            self._trims = not self._held
        said = ""
        while not self._is_certain and "\n" in self._held:
            line, _, self._held = self._held.partition("\n")
            if line.strip() == _CLOSE and not self._given and not self._fences % 2:
                if said:
                    yield TextDelta(said)
                yield TextWasThought()
                self._is_certain = self._trims = True
                yield from self._answer()
                return
            self._fences += (self._given + line).lstrip().startswith("```")
            self._given = ""
            said += f"{line}\n"
        may_be_tag = bool(self._held.strip()) and _CLOSE.startswith(self._held.strip())
        if self._is_certain or self._given or not may_be_tag:
            self._given += self._held
            said, self._held = said + self._held, ""
        if said:
            yield TextDelta(said)
