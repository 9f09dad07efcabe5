"""The values in the prefix store: the state of a conversation at one position, in two kinds of parts.

Keys and values can be cut and joined, so each snapshot holds only the `segment` since the snapshot before it.
The recurrent part (convolution window and recurrent matrix of every DeltaNet layer) describes the whole prefix
and can be neither cut nor joined. Both are opaque here: named numpy arrays that are never written to again.
"""

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
Tokens = NDArray[np.uint32]

DIGEST_BYTES = 16
"""128 bits: two of a billion segments are equal by chance once in 10^20."""
KEY_BYTES = hashlib.blake2b.SALT_SIZE
"""Bytes of an adapter's key."""
ROOT = bytes(DIGEST_BYTES)
"""The parent of a snapshot whose segment begins at token 0."""


def array_bytes(arrays: Arrays) -> int:
    """Bytes held by all the arrays together."""
    return sum(value.nbytes for value in arrays.values())


def as_tokens(tokens: Sequence[int]) -> Tokens:
    """Token ids as one contiguous uint32 array. (`array` reads a tuple three times as fast as numpy does.)"""
    return np.frombuffer(array("I", tokens), dtype=np.uint32)


class PrefixDigest:
    """The key of a prefix that grows: 128 bits of BLAKE2b over its little-endian ids. Equal keys are taken to
    be equal prefixes."""

    def __init__(self) -> None:
        self._running = _digest()

    def extend(self, tokens: Sequence[int] | Tokens) -> None:
        """Appends tokens to the prefix."""
        self._running.update(_little_endian(tokens))

    def digest(self, ahead: Sequence[int] | Tokens = ()) -> bytes:
        """The key of the prefix so far, with `ahead` after it."""
        running = self._running.copy()
        running.update(_little_endian(ahead))
        return running.digest()


def _digest(adapter: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=DIGEST_BYTES, salt=adapter)


def _little_endian(tokens: Sequence[int] | Tokens) -> memoryview:
    array = as_tokens(tokens) if isinstance(tokens, Sequence) else tokens
    return np.ascontiguousarray(array, dtype="<u4").data


def prefix_digests(tokens: Tokens, positions: Iterable[int], adapter: bytes = b"") -> list[bytes]:
    """The key of each prefix `tokens[:position]`, positions ascending: one pass over the tokens for all.

    `adapter`: the key of the adapter that the states are computed under, KEY_BYTES long or empty for none. It
    salts the digests, so a state of one adapter is never found under another."""
    running = _digest(adapter)
    data = _little_endian(tokens)
    digests: list[bytes] = []
    done = 0
    for position in positions:
        running.update(data[done:position])
        digests.append(running.copy().digest())
        done = position
    return digests


@dataclass(frozen=True, slots=True)
class Segment:
    """Keys and values of the tokens between two prefixes: after `parent`, up to `digest` at `position`."""

    digest: bytes
    parent: bytes
    position: int
    arrays: Arrays


@dataclass(frozen=True, slots=True)
class PrefixState:
    """A whole state: keys and values from token 0 on, in order, and the recurrent part at the end. On its way
    to disk it may begin later, where the disk has what comes before."""

    segments: tuple[Segment, ...]
    recurrent: Arrays

    @property
    def digest(self) -> bytes:
        """The key of the prefix."""
        return self.segments[-1].digest

    @property
    def nbytes(self) -> int:
        """Bytes of all its arrays."""
        return array_bytes(self.recurrent) + sum(array_bytes(segment.arrays) for segment in self.segments)

    @property
    def position(self) -> int:
        """Tokens that this state has seen."""
        return self.segments[-1].position


class StateSource(Protocol):
    """A running sequence that can be asked for its state. Called on the engine's thread only; the arrays are
    copies that the sequence never touches again."""

    def segment(self, start: int, stop: int) -> Arrays:
        """Keys and values of the tokens [start, stop)."""
        ...

    def recurrent(self) -> Arrays:
        """The recurrent part after all tokens so far."""
        ...
