"""A vocabulary by the bytes of its tokens: which tokens a text can begin with, at every place of it at once."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# Places that are looked at together: enough for numpy, and few enough for the processor's cache.
_BLOCK = 1 << 16


class TokenTrie:
    """The trie of all tokens. A node is a number, 0 the empty text; a parent's is below its children's."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        """`tokens` by id; the empty text for those that no text spells."""
        spelled = sorted((text, token) for token, text in enumerate(tokens) if text)
        self._texts = [text for text, _ in spelled]
        self._ids = [token for _, token in spelled]
        self.size = len(tokens)
        """How many ids the vocabulary has."""
        self.bytes = frozenset(text[0] for text in self._texts if len(text) == 1)
        """The bytes that are tokens by themselves: what is made of them can always be spelled."""
        self.parent, self.depth, self.token = array("i", [-1]), array("i", [0]), array("i", [-1])
        edges = [0]
        path = [0]
        for previous, (text, token) in zip([b"", *self._texts], spelled, strict=False):
            shared = 0
            while shared < min(len(previous), len(text)) and previous[shared] == text[shared]:
                shared += 1
            del path[shared + 1 :]
            for byte in text[shared:]:
                edges.append((path[-1] << 8) + byte)
                self.parent.append(path[-1])
                self.depth.append(len(path))
                self.token.append(-1)
                path.append(len(self.parent) - 1)
            # Of tokens with the same text, the first one will do.
            if self.token[path[-1]] < 0:
                self.token[path[-1]] = token
        keys = np.array(edges[1:], dtype=np.int64)
        self._children = np.argsort(keys)
        self._edges = keys[self._children]
        self._children = (self._children + 1).astype(np.int32)

    def node(self, text: bytes) -> int:
        """The node of a text; -1 where no token begins with it."""
        node = 0
        for byte in text:
            at = int(np.searchsorted(self._edges, (node << 8) + byte))
            if at == len(self._edges) or self._edges[at] != (node << 8) + byte:
                return -1
            node = int(self._children[at])
        return node

    def beyond(self, text: bytes) -> list[int]:
        """The tokens that begin with an ASCII text and are longer."""
        end = text[:-1] + bytes([text[-1] + 1])
        return self._ids[bisect_right(self._texts, text) : bisect_left(self._texts, end)]

    def prefixes(self, text: bytes) -> list[int]:
        """The tokens that the text begins with."""
        nodes = (self.node(text[:length]) for length in range(1, len(text) + 1))
        return [self.token[node] for node in nodes if node > 0 and self.token[node] >= 0]

    def spelled(self) -> list[tuple[bytes, int]]:
        """All tokens that a text can spell, with their texts."""
        return list(zip(self._texts, self._ids, strict=True))

    def longest(self, text: NDArray[np.uint8]) -> NDArray[np.int32]:
        """For each place of a text [n], the node of what goes on from there, as far as any token goes: the
        tokens that fit are this node's and its ancestors'. Time is linear in the text."""
        found = np.zeros(len(text), dtype=np.int32)
        starts = [*range(0, len(text), _BLOCK), len(text)]
        for start, end in pairwise(starts):
            places = np.arange(start, end)
            nodes = np.zeros(end - start, dtype=np.int64)
            depth = 0
            while places.size:
                inside = places + depth < len(text)
                places, nodes = places[inside], nodes[inside]
                keys = (nodes << 8) + text[places + depth]
                at = np.searchsorted(self._edges, keys)
                at[at == len(self._edges)] = 0
                fits = self._edges[at] == keys
                places, nodes = places[fits], self._children[at[fits]].astype(np.int64)
                found[places] = nodes
                depth += 1
        return found
