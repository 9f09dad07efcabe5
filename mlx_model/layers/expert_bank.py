"""What a layer asks of its experts' memory where that holds only some of them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import mlx.core as mx
from numpy.typing import NDArray


class ExpertBank(Protocol):
    """A layer's experts in a smaller number of slots."""

    @property
    def slots(self) -> int:
        """How many experts there is room for."""
        ...

    def before_change(self, forget: Callable[[], None]) -> None:
        """Calls `forget` when `tensors` are about to be other arrays: the old ones must go at once."""
        ...

    @property
    def tensors(self) -> Mapping[str, mx.array]:
        """The projections' tensors by their canonical names, with slots in place of experts."""
        ...

    def hold(
        self, chosen: NDArray[Any], tokens: int, meanwhile: Callable[[], None] | None = None
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """The experts chosen for so many tokens, in batches: those that are in memory until the next batch is
        asked for, and a table [experts] of the slots they are in. What used a batch must be evaluated before
        that. `meanwhile` is called once, when what is missing is being read. Raises EngineError when one cannot
        be read."""
        ...

    def expect(self, experts: NDArray[Any]) -> None:
        """These experts will probably be chosen next: begins to read what is missing."""
        ...

    def used_by(self, result: mx.array) -> None:
        """The result may still be pending, and needs the slots as they are."""
        ...
