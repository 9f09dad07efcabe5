"""Responses and the conversations behind them, for requests that read or continue one by its id."""

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_CHARACTERS = 64 * 2**20
"""Characters of all conversations together, as JSON: as much as one request's body may have."""

Conversation = Sequence[Mapping[str, Any]]
"""Messages as Chat Completions has them, without instructions."""


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """A response as it was given, and the conversation that ends with it."""

    response: Mapping[str, Any]
    conversation: Conversation
    size: int
    """Characters as JSON."""


class ResponseMemory:
    """Responses by their id, in memory only; those used longest ago go first. Safe from any thread."""

    def __init__(self, characters: int = _CHARACTERS) -> None:
        self._characters = characters
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, KeptResponse] = OrderedDict()
        self._size = 0

    def keep(self, response: Mapping[str, Any], conversation: Conversation) -> None:
        """Stores a response, unless it alone is larger than all may be."""
        size = len(json.dumps(conversation)) + len(json.dumps(response))
        with self._lock:
            self._kept[response["id"]] = KeptResponse(response, conversation, size)
            self._size += size
            while self._size > self._characters:
                _, dropped = self._kept.popitem(last=False)
                self._size -= dropped.size

    def find(self, identifier: str) -> KeptResponse | None:
        """The response with this id; None where it is not kept (any more)."""
        with self._lock:
            found = self._kept.get(identifier)
            if found is not None:
                self._kept.move_to_end(identifier)
            return found

    def drop(self, identifier: str) -> bool:
        """Forgets a response; False where it is not kept."""
        with self._lock:
            dropped = self._kept.pop(identifier, None)
            self._size -= 0 if dropped is None else dropped.size
            return dropped is not None
