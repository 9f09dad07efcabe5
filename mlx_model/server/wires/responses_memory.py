"""The conversations behind responses, for requests that continue one by its id."""

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

_CHARACTERS = 64 * 2**20
"""Characters of all conversations together, as JSON: as much as one request's body may have."""

Conversation = Sequence[Mapping[str, Any]]
"""Messages as Chat Completions has them, without instructions."""


class ResponseMemory:
    """Conversations by the id of their last response, in memory only; those used longest ago go first. Safe
    from any thread."""

    def __init__(self, characters: int = _CHARACTERS) -> None:
        self._characters = characters
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[Conversation, int]] = OrderedDict()
        self._size = 0

    def keep(self, identifier: str, conversation: Conversation) -> None:
        """Stores a conversation, unless it alone is larger than all may be."""
        size = len(json.dumps(conversation))
        with self._lock:
            self._kept[identifier] = (conversation, size)
            self._size += size
            while self._size > self._characters:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._size -= dropped

    def find(self, identifier: str) -> Conversation | None:
        """The conversation that ends with this response; None where it is not kept (any more)."""
        with self._lock:
            found = self._kept.get(identifier)
            if found is None:
                return None
            self._kept.move_to_end(identifier)
            return found[0]
