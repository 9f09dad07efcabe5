"""Putting a streamed reply together."""

from collections.abc import Callable

from app.model.events import Finished, TokenChance, ToolCallDelta
from app.model.messages import ToolCall


class Reply:
    """What has arrived of one reply. `finished` is None until it is complete.

    `free_id` turns the server's id of a call into one that is not in use yet.
    """

    def __init__(self, free_id: Callable[[str], str]) -> None:
        self._free_id = free_id
        self.text = ""
        self.thought = 0
        """Characters of the thought before it, which is not kept."""
        self.finished: Finished | None = None
        self.is_runaway = False
        """Whether it was stopped because it came to no end."""
        self.chances: list[TokenChance] = []
        """How sure the model was of each token, where the server tells."""
        self._calls: dict[int, ToolCall] = {}

    def add_call(self, delta: ToolCallDelta) -> ToolCall:
        """More of a call; returns all that has arrived of it."""
        so_far = self._calls.get(delta.index)
        if so_far is None:
            is_taken = any(call.id == delta.id for call in self._calls.values())
            so_far = ToolCall(self._free_id("" if is_taken else delta.id), "", "")
        call = ToolCall(so_far.id, so_far.name or delta.name, so_far.arguments + delta.arguments)
        self._calls[delta.index] = call
        return call

    @property
    def length(self) -> int:
        """How many characters it has so far, the thought included."""
        return self.thought + len(self.text) + sum(len(call.arguments) for call in self._calls.values())

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The calls, in order."""
        return tuple(call for _index, call in sorted(self._calls.items()))
