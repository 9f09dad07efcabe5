"""A trie of a vocabulary's tokens: which tokens fit a text, at all its positions at once."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 16
"""Positions that are processed together: enough for numpy, and few enough for the processor's cache."""


class TokenTrie:
    """The trie of all tokens, by bytes. Nodes are numbers, 0 the root; a parent's is below its children's."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        """`tokens`: bytes by token id; empty for tokens without text."""
        spelled = sorted((text, token) for token, text in enumerate(tokens) if text)
        self._texts = [text for text, _ in spelled]
        self._ids = [token for _, token in spelled]
        self.size = len(tokens)
        """The number of token ids."""
        self.bytes = frozenset(text[0] for text in self._texts if len(text) == 1)
        """The bytes that are tokens of their own: any text of them can be spelled."""
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
            # Of tokens with the same text, the first one is taken.
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
        """The ids of tokens that begin with an ASCII text and are longer."""
        end = text[:-1] + bytes([text[-1] + 1])
        return self._ids[bisect_right(self._texts, text) : bisect_left(self._texts, end)]

    def prefixes(self, text: bytes) -> list[int]:
        """The ids of tokens that are prefixes of a text."""
        nodes = (self.node(text[:length]) for length in range(1, len(text) + 1))
        return [self.token[node] for node in nodes if node > 0 and self.token[node] >= 0]

    def spelled(self) -> list[tuple[bytes, int]]:
        """All tokens with text: their bytes and ids."""
        return list(zip(self._texts, self._ids, strict=True))

    def longest(self, text: NDArray[np.uint8]) -> NDArray[np.int32]:
        """For each position of a text [n], the deepest node that the text from there on reaches, [n]: the
        tokens that fit are that node's and its ancestors'. Time is linear in the text."""
        found = np.zeros(len(text), dtype=np.int32)
        starts = [*range(0, len(text), _BLOCK), len(text)]
        for start, end in pairwise(starts):
            positions = np.arange(start, end)
            nodes = np.zeros(end - start, dtype=np.int64)
            depth = 0
            while positions.size:
                inside = positions + depth < len(text)
                positions, nodes = positions[inside], nodes[inside]
                keys = (nodes << 8) + text[positions + depth]
                at = np.searchsorted(self._edges, keys)
                at[at == len(self._edges)] = 0
                fits = self._edges[at] == keys
                positions, nodes = positions[fits], self._children[at[fits]].astype(np.int64)
                found[positions] = nodes
                depth += 1
        return found
