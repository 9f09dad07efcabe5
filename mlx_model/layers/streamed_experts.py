"""Routed experts of which only some are in memory: the same results as with all of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_model.layers.experts import SORT_FROM, RoutedExperts
from mlx_model.layers.parameters import Parameters


class ExpertBank(Protocol):
    """A layer's experts in a smaller number of slots."""

    @property
    def slots(self) -> int:
        """How many experts there is room for."""
        ...

    def before_change(self, forget: Callable[[], None]) -> None:
        """Calls `forget` when `parameters` are about to be other arrays: the old ones must go at once."""
        ...

    def parameters(self) -> Parameters:
        """The projections' tensors, with slots in place of experts."""
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


@dataclass(frozen=True, slots=True)
class Guess:
    """The experts that the next layer will probably choose, and the bank that should have them."""

    experts: mx.array
    bank: ExpertBank

    def tell(self) -> None:
        """Tells the bank. The experts must be evaluated."""
        self.bank.expect(np.unique(np.array(self.experts)).astype(np.intp))


class StreamedExperts:
    """As RoutedExperts, over a bank."""

    def __init__(self, bank: ExpertBank, hidden: int, intermediate: int) -> None:
        self.bank = bank
        self._sizes = (hidden, intermediate)
        self._routed: RoutedExperts | None = self._over_bank()
        bank.before_change(self._forget)

    def _over_bank(self) -> RoutedExperts:
        return RoutedExperts(self.bank.parameters(), self.bank.slots, *self._sizes)

    def _forget(self) -> None:
        self._routed = None

    def __call__(
        self, x: mx.array, experts: mx.array, weights: mx.array, ahead: Guess | None = None
    ) -> mx.array:
        """See RoutedExperts. Waits for the router's choice, and for the guess `ahead`."""
        if ahead is not None:
            # Both at once: each time the device is waited for costs.
            mx.eval(experts, ahead.experts)
        chosen = np.array(experts).astype(np.intp)
        routed = self._routed = self._routed or self._over_bank()
        flat = chosen.reshape(-1)
        pieces: list[mx.array] = []
        order: list[NDArray[Any]] = []
        meanwhile = None if ahead is None else ahead.tell
        for batch, table in self.bank.hold(flat, chosen.size // chosen.shape[-1], meanwhile):
            if not order and np.isin(flat, batch).all():
                # All at once: exactly what a full bank does.
                result = routed(x, mx.array(table[chosen].astype(np.uint32)), weights)
                self.bank.used_by(result)
                return result
            places = np.flatnonzero(np.isin(flat, batch))
            slots = table[flat[places]]
            by_slot = np.argsort(slots, kind="stable")
            order.append(places[by_slot])
            rows = x.flatten(0, -2)[mx.array((order[-1] // chosen.shape[-1]).astype(np.uint32))]
            indices = mx.array(slots[by_slot].astype(np.uint32))
            y = routed.run(mx.expand_dims(rows, -2), indices, ordered=experts.size >= SORT_FROM)
            pieces.append(y.squeeze(-2))
            mx.eval(pieces[-1])
        back = mx.array(np.argsort(np.concatenate(order)).astype(np.uint32))
        y = mx.concatenate(pieces)[back].reshape(*experts.shape, -1)
        return (weights[..., None, :] @ y).squeeze(-2)
