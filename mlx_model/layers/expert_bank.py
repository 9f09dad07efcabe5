"""The interface between a layer and a bank that holds only some of its experts in memory."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import mlx.core as mx
from numpy.typing import NDArray


class ExpertBank(Protocol):
    """A layer's experts, in fewer slots than experts."""

    @property
    def slots(self) -> int:
        """The number of slots."""
        ...

    def before_change(self, forget: Callable[[], None]) -> None:
        """Registers `forget`, to be called when `tensors` are about to be replaced: the caller must drop its
        references, so that the old arrays are freed."""
        ...

    @property
    def tensors(self) -> Mapping[str, mx.array]:
        """The projections' tensors by canonical name, [slots, rows, columns]."""
        ...

    def load(
        self, chosen: NDArray[Any], tokens: int, meanwhile: Callable[[], None] | None = None
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Loads the experts that are `chosen` for `tokens` tokens, in batches. A batch is an array of expert
        indices, and a table [experts] that gives the slot of each. Its experts are in their slots only until
        the next batch is requested: evaluate what reads them before that. `meanwhile` is called once, while
        missing experts are being read. Raises EngineError when one cannot be read."""
        ...

    def prefetch(self, experts: NDArray[Any]) -> None:
        """Starts reading experts that will probably be chosen next, where the bank is large enough."""
        ...

    def used_by(self, result: mx.array) -> None:
        """Has the slots stay unchanged until `result`, which may still be pending, is evaluated."""
        ...
