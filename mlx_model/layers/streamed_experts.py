"""Routed experts with only some of them in memory, and the same results as with all."""

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_model.layers.expert_bank import ExpertBank
from mlx_model.layers.experts import RoutedExperts, as_rows
from mlx_model.layers.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Guess:
    """Indices of the experts that the next layer will probably choose, and that layer's bank."""

    experts: mx.array
    bank: ExpertBank

    def prefetch(self) -> None:
        """Has the bank read them. `experts` must be evaluated."""
        self.bank.prefetch(np.unique(np.array(self.experts)).astype(np.intp))


class StreamedExperts:
    """RoutedExperts over a bank; `parameters` are those of the module whose experts the bank holds."""

    def __init__(self, parameters: Parameters, bank: ExpertBank, hidden: int, intermediate: int) -> None:
        self.bank = bank
        self._parameters = parameters
        self._sizes = (hidden, intermediate)
        self._routed: RoutedExperts | None = self._over_bank()
        bank.before_change(self._forget)

    def _over_bank(self) -> RoutedExperts:
        own = self._parameters
        held = Parameters(self.bank.tensors, own.quantization, own.prefix)
        return RoutedExperts(held, self.bank.slots, *self._sizes)

    def _forget(self) -> None:
        self._routed = None

    def __call__(
        self, x: mx.array, experts: mx.array, weights: mx.array, ahead: Guess | None = None
    ) -> mx.array:
        """As RoutedExperts: x [1, tokens, hidden]; experts and weights [1, tokens, chosen] → [1, tokens,
        hidden]. Waits for the device to choose the experts; `ahead` is prefetched meanwhile."""
        if ahead is not None:
            # Both in one wait: each wait for the device costs.
            mx.eval(experts, ahead.experts)
        chosen = np.array(experts).astype(np.intp)
        routed = self._routed = self._routed or self._over_bank()
        flat = chosen.reshape(-1)
        pieces: list[mx.array] = []
        order: list[NDArray[Any]] = []
        meanwhile = None if ahead is None else ahead.prefetch
        for batch, table in self.bank.load(flat, chosen.size // chosen.shape[-1], meanwhile):
            if not order and np.isin(flat, batch).all():
                # All in one batch: the same computation as with all experts in memory.
                result = routed(x, mx.array(table[chosen].astype(np.uint32)), weights)
                self.bank.used_by(result)
                return result
            pairs = np.flatnonzero(np.isin(flat, batch))
            slots = table[flat[pairs]]
            by_slot = np.argsort(slots, kind="stable")
            order.append(pairs[by_slot])
            rows = x.flatten(0, -2)[mx.array((order[-1] // chosen.shape[-1]).astype(np.uint32))]
            indices = mx.array(slots[by_slot].astype(np.uint32))
            y = routed.run(as_rows(rows, *rows.shape[:-1]), indices, ordered=routed.sorts(pairs.size))
            pieces.append(y.squeeze(-2))
            mx.eval(pieces[-1])
        back = mx.array(np.argsort(np.concatenate(order)).astype(np.uint32))
        y = mx.concatenate(pieces)[back].reshape(*experts.shape, -1)
        return (weights[..., None, :] @ y).squeeze(-2)
