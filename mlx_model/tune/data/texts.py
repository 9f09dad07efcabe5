"""Texts as tokens, of which some count in the loss; and examples of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Text:
    """Token ids [n] (uint32), and which of them count in the loss [n] (bool); the first never does."""

    tokens: NDArray[np.uint32]
    counted: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """How many tokens count."""
        return int(self.counted[1:].sum())


Example = tuple[Text, ...]
"""Texts with one loss together: a single one, or such as are compared with each other."""


def flattened(examples: Sequence[Example]) -> dict[str, Any]:
    """Examples as arrays, to be stored."""
    texts = [text for example in examples for text in example]
    return {
        "tokens": np.concatenate([text.tokens for text in texts]),
        "counted": np.concatenate([text.counted for text in texts]),
        "ends": np.cumsum([len(text.tokens) for text in texts]),
        "sizes": np.array([len(example) for example in examples]),
    }


def unflattened(arrays: dict[str, Any]) -> list[Example]:
    """The examples of such arrays."""
    ends = [0, *map(int, arrays["ends"])]
    texts = [
        Text(arrays["tokens"][start:end].astype(np.uint32), arrays["counted"][start:end].astype(np.bool_))
        for start, end in pairwise(ends)
    ]
    examples, done = [], 0
    for size in map(int, arrays["sizes"]):
        examples.append(tuple(texts[done : done + size]))
        done += size
    return examples
