"""Quotations: a parameter's value that must be a substring of a text, and may have to occur in it only once.

The beginning of a value is represented by the positions in the text at which its occurrences end. The next
token must continue one of them; an index of the text gives the longest token at each position, and with it all
that fit. llguidance's own substring expressions cannot require a single occurrence, and llguidance 1.9.1
refuses one of 878,000 characters as too big.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlx_model.chat.tools.token_trie import TokenTrie

Mask = NDArray[np.bool_]

END = b"\n</parameter>\n"
"""The end of a value."""
# In a text that contains one of these, the parser of calls could see the end of a value before the grammar
# does.
_TAGS = ("</parameter>", "</function>", "</tool_call>", "<parameter=")
_NEWLINE = END[0]
_BEYOND = 0xFF
"""The byte after a text's end. UTF-8 has no such byte, so no token continues there."""


class QuotingTokens:
    """A vocabulary, indexed for quoting."""

    def __init__(self, tokens: list[bytes]) -> None:
        """`tokens` as for TokenTrie."""
        self.trie = TokenTrie(tokens)
        self.ending = [self.trie.prefixes(END[done:]) if done else [] for done in range(len(END))]
        """The tokens that may come next, by the number of bytes of the value's end that are written."""
        self.closing: dict[int, list[int]] = {}
        """The tokens in which the value's end begins, by the node of the text before it."""
        for text, token in self.trie.spelled():
            quoted, newline, rest = text.rpartition(b"\n")
            if newline and END.startswith(newline + rest):
                self.closing.setdefault(self.trie.node(quoted), []).append(token)


class QuotableText:
    """A text and its index, which takes 4 bytes per byte of text and is made when it is first needed."""

    def __init__(self, tokens: QuotingTokens, text: str) -> None:
        self.tokens = tokens
        self.bytes = text.encode("utf-8", "replace")
        self.array = np.frombuffer(self.bytes + bytes([_BEYOND]), dtype=np.uint8)
        self.is_quotable = (
            bool(text) and not any(tag in text for tag in _TAGS) and set(self.bytes) <= tokens.trie.bytes
        )
        """Whether quotations of it are unambiguous in a call, and can be spelled with the vocabulary."""

    @cached_property
    def longest(self) -> NDArray[np.int32]:
        """TokenTrie.longest of the text, with a 0 for its end: [bytes + 1]."""
        return np.append(self.tokens.trie.longest(self.array[:-1]), np.int32(0))

    @cached_property
    def _masks(self) -> dict[bool, Mask]:
        return {}

    def first(self, unique: bool) -> Mask:
        """The tokens [vocabulary] that a quotation may begin with."""
        if unique not in self._masks:
            starts = np.flatnonzero((self.array & 0xC0) != 0x80)[:-1]
            self._masks[unique] = Quotation(self, unique, starts).mask_from(starts)
        return self._masks[unique]


@dataclass(frozen=True, slots=True)
class Quotation:
    """The beginning of a value. `ends`: the positions in the text after its occurrences, None for all;
    `length`: its bytes; `ending`: how many of its last bytes may be those of the value's end. With `unique` the
    value may end only if it occurs in the text once."""

    text: QuotableText
    unique: bool
    ends: NDArray[np.intp] | None = None
    length: int = 0
    ending: int = 0

    @property
    def is_over(self) -> bool:
        """Whether the value's end is written."""
        return self.ending == len(END)

    def after(self, piece: bytes) -> "Quotation | None":
        """The value with `piece` appended; None where the piece is not admitted."""
        array = self.text.array
        ends, length, ending = self.ends, self.length, self.ending
        for byte in piece:
            if ending == len(END) or byte == _BEYOND:
                return None
            if ending and END[ending] == byte:
                ending += 1
            else:
                ending = int(byte == _NEWLINE and ends is not None and self._may_end(ends, length))
            ends = np.flatnonzero(array == byte) if ends is None else ends[array[ends] == byte]
            ends, length = ends + 1, length + 1
            if not ending and (not ends.size or (length == 1 and byte & 0xC0 == 0x80)):
                return None
        return replace(self, ends=ends, length=length, ending=ending)

    def mask(self) -> Mask:
        """The tokens [vocabulary] that may come next. No token continues after the value's end."""
        return self.text.first(self.unique) if self.ends is None else self.mask_from(self.ends)

    def mask_from(self, ends: NDArray[np.intp]) -> Mask:
        """`mask` for the positions `ends`."""
        tokens = self.text.tokens
        trie = tokens.trie
        allowed = list(tokens.ending[self.ending])
        # By node: at how many positions the tokens up to it fit, and one of these positions.
        reached: dict[int, tuple[int, int]] = {}
        for node, count, end in zip(*self._nodes(ends), strict=True):
            while node >= 0:
                before = reached.get(node)
                reached[node] = (count, end) if before is None else (count + before[0], end)
                node = trie.parent[node]  # noqa: PLW2901 (up to the root)
        for node, (count, end) in reached.items():
            if trie.token[node] >= 0:
                allowed.append(trie.token[node])
            closing = tokens.closing.get(node)
            depth = trie.depth[node]
            if closing is not None and self._is_end(end + depth, self.length + depth, count):
                allowed += closing
        mask = np.zeros(trie.size, dtype=np.bool_)
        mask[allowed] = True
        return mask

    def _nodes(self, ends: NDArray[np.intp]) -> tuple[list[int], list[int], list[int]]:
        """The longest nodes at these positions, the number of positions of each, and one of them."""
        if not ends.size:
            return [], [], []
        nodes = self.text.longest[ends]
        if ends.size == 1:
            return nodes.tolist(), [1], ends.tolist()
        found, first, counts = np.unique(nodes, return_index=True, return_counts=True)
        return found.tolist(), counts.tolist(), ends[first].tolist()

    def _may_end(self, ends: NDArray[np.intp], length: int) -> bool:
        return bool(ends.size) and self._is_end(int(ends[0]), length, ends.size)

    def _is_end(self, end: int, length: int, count: int) -> bool:
        """Whether the value may end after `length` bytes, which occur in the text `count` times, once before
        `end`."""
        if not length or (self.unique and count != 1) or self.text.array[end] & 0xC0 == 0x80:
            return False
        text = self.text.bytes
        if not self.unique or text[end - 1] != _NEWLINE:
            return True
        # What ends in one newline more than the text does is taken to mean the text's last lines too.
        quoted = text[end - length : end - 1]
        last = len(text) - len(quoted)
        is_last = text.endswith(quoted) and (not last or text[last - 1] == _NEWLINE)
        return not (is_last and quoted.decode().strip())
