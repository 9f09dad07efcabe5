"""Routed experts of which only some are in memory: the same results as with all of them."""

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_model.layers.expert_bank import ExpertBank
from mlx_model.layers.experts import SORT_FROM, RoutedExperts
from mlx_model.layers.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Guess:
    """The experts that the next layer will probably choose, and the bank that should have them."""

    experts: mx.array
    bank: ExpertBank

    def tell(self) -> None:
        """Tells the bank. The experts must be evaluated."""
        self.bank.expect(np.unique(np.array(self.experts)).astype(np.intp))


class StreamedExperts:
    """As RoutedExperts, over a bank; `parameters` are those of the module that the bank stands in for."""

    def __init__(self, parameters: Parameters, bank: ExpertBank, hidden: int, intermediate: int) -> None:
        self.bank = bank
        self._place = parameters
        self._sizes = (hidden, intermediate)
        self._routed: RoutedExperts | None = self._over_bank()
        bank.before_change(self._forget)

    def _over_bank(self) -> RoutedExperts:
        held = Parameters(self.bank.tensors, self._place.quantization, self._place.prefix)
        return RoutedExperts(held, self.bank.slots, *self._sizes)

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
