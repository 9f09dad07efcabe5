"""Quoting a text: a parameter's value that must stand in it, and may have to stand there only once.

What was written so far is known by the places of the text where it ends. The next token must go on from one
of them; so the tokens that may come are read off an index, which says for each place how far a token reaches.
llguidance's own substring expressions cannot tell what occurs once, and llguidance 1.9.1 refuses one of 878,000
characters as too big.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlx_model.chat.tools.token_trie import TokenTrie

Mask = NDArray[np.bool_]

END = b"\n</parameter>\n"
"""What ends a value."""
# In a text that has these, a value could end where the parser of calls sees an end and the grammar none.
_TAGS = ("</parameter>", "</function>", "</tool_call>", "<parameter=")
_NEWLINE = END[0]
# What is behind a text's end: no byte of UTF-8.
_BEYOND = 0xFF


class QuotingTokens:
    """A vocabulary as far as quoting needs it."""

    def __init__(self, tokens: list[bytes]) -> None:
        """See TokenTrie."""
        self.trie = TokenTrie(tokens)
        self.ending = [self.trie.prefixes(END[done:]) if done else [] for done in range(len(END))]
        """The tokens that may come where so many bytes of the value's end are written."""
        self.closing: dict[int, list[int]] = {}
        """By the node of what they still quote, the tokens in which the value's end begins."""
        for text, token in self.trie.spelled():
            quoted, newline, rest = text.rpartition(b"\n")
            if newline and END.startswith(newline + rest):
                self.closing.setdefault(self.trie.node(quoted), []).append(token)


class QuotableText:
    """A text and its index, which takes 4 bytes a byte of the text and is made when it is first needed."""

    def __init__(self, tokens: QuotingTokens, text: str) -> None:
        self.tokens = tokens
        self.bytes = text.encode("utf-8", "replace")
        self.array = np.frombuffer(self.bytes + bytes([_BEYOND]), dtype=np.uint8)
        self.is_quotable = (
            bool(text) and not any(tag in text for tag in _TAGS) and set(self.bytes) <= tokens.trie.bytes
        )
        """Whether a quotation can be told from what is written around it, and spelled with this vocabulary."""

    @cached_property
    def longest(self) -> NDArray[np.int32]:
        """See TokenTrie; one more than there are bytes."""
        return np.append(self.tokens.trie.longest(self.array[:-1]), np.int32(0))

    @cached_property
    def _masks(self) -> dict[bool, Mask]:
        return {}

    def first(self, unique: bool) -> Mask:
        """What a quotation may begin with."""
        if unique not in self._masks:
            starts = np.flatnonzero((self.array & 0xC0) != 0x80)[:-1]
            self._masks[unique] = Quotation(self, unique, starts).mask_from(starts)
        return self._masks[unique]


@dataclass(frozen=True, slots=True)
class Quotation:
    """A value being written. `ends` are the places in the text behind what was written, None for everywhere;
    `length` is that in bytes; `ending`, how many bytes of the value's end may have been written. With `unique`
    the value may end only where it stands in the text once."""

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
        """What it is when these bytes are written too; None where they may not be."""
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
        """Which tokens [vocabulary] may come next. None goes beyond the value's end."""
        return self.text.first(self.unique) if self.ends is None else self.mask_from(self.ends)

    def mask_from(self, ends: NDArray[np.intp]) -> Mask:
        """The same, with `ends` given."""
        tokens = self.text.tokens
        trie = tokens.trie
        allowed = list(tokens.ending[self.ending])
        # By node: how often the tokens on the way there fit, and one of the places where they do.
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
        """The longest nodes from these places on, how often each, and one of the places."""
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
        """Whether the value may end with so many bytes, which stand in the text so often, one time before
        `end`."""
        if not length or (self.unique and count != 1) or self.text.array[end] & 0xC0 == 0x80:
            return False
        text = self.text.bytes
        if not self.unique or text[end - 1] != _NEWLINE or text.endswith(b"\n"):
            return True
        # Whoever quotes the last line of a text without a last newline takes one for granted: what ends in one
        # means that place too.
        quoted = text[end - length : end - 1]
        last = len(text) - len(quoted)
        is_last = text.endswith(quoted) and (not last or text[last - 1] == _NEWLINE)
        return not (is_last and quoted.decode().strip())
