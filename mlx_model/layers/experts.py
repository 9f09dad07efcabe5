"""Feed-forward networks: a dense SwiGLU (arXiv 2002.05202), and a bank of them of which each token is routed to
some."""

import mlx.core as mx

from mlx_model.layers.elementwise import swiglu, swiglu_by_powers
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import ExpertLinear, Linear

_SORTED_ROWS = 4
"""(token, expert) pairs per expert of the bank from which on they are sorted by expert: with fewer, MLX's Metal
backend (0.32) takes the kernel for unsorted pairs all the same, and sorting is for nothing."""


class FeedForward:
    """down(silu(gate(x)) · up(x)), gate and up in one matrix; x [..., hidden] → the same shape."""

    def __init__(self, parameters: Parameters, hidden: int, intermediate: int) -> None:
        self.gate_up_proj = Linear(
            parameters.scope("gate_up_proj"),
            2 * intermediate,
            hidden,
            [("gate", intermediate), ("up", intermediate)],
        )
        self.down_proj = Linear(parameters.scope("down_proj"), hidden, intermediate)
        self._swiglu = swiglu_by_powers if parameters.by_blas else swiglu

    def __call__(self, x: mx.array) -> mx.array:
        gate, up = mx.split(self.gate_up_proj(x), 2, axis=-1)
        return self.down_proj(self._swiglu(gate, up))


class RoutedExperts:
    """A bank of experts: each token passes through those that the router chose for it."""

    def __init__(self, parameters: Parameters, experts: int, hidden: int, intermediate: int) -> None:
        self.count = experts
        self.gate_up_proj = ExpertLinear(
            parameters.scope("gate_up_proj"),
            experts,
            2 * intermediate,
            hidden,
            [("gate", intermediate), ("up", intermediate)],
        )
        self.down_proj = ExpertLinear(parameters.scope("down_proj"), experts, hidden, intermediate)
        self._swiglu = swiglu_by_powers if parameters.by_blas else swiglu

    def __call__(self, x: mx.array, experts: mx.array, weights: mx.array) -> mx.array:
        """x [1, tokens, hidden]; experts and weights [1, tokens, chosen] → the weighted sum [1, tokens,
        hidden]."""
        if not self.sorts(experts.size):
            y = self.run(as_rows(x, *experts.shape[:-1], 1), experts, ordered=False).squeeze(-2)
        else:
            chosen = experts.shape[-1]
            flat = experts.flatten()
            order = mx.argsort(flat)
            rows = as_rows(x.flatten(0, -2)[order // chosen], experts.size)
            y = self.run(rows, flat[order], ordered=True).squeeze(-2)
            y = y[mx.argsort(order)].reshape(*experts.shape, -1)
        return (weights[..., None, :] @ y).squeeze(-2)

    def sorts(self, pairs: int) -> bool:
        """Whether so many (token, expert) pairs are worth sorting by expert."""
        return pairs >= _SORTED_ROWS * self.count

    def run(self, x: mx.array, experts: mx.array, ordered: bool) -> mx.array:
        """Row x[i] [rows, hidden] through expert experts[i], for all leading indices i; `ordered`: `experts`
        ascends."""
        gate, up = mx.split(self.gate_up_proj(x, experts, ordered), 2, axis=-1)
        return self.down_proj(self._swiglu(gate, up), experts, ordered)


def as_rows(x: mx.array, *leading: int) -> mx.array:
    """x [..., width] → [*leading, 1, width]: each row a matrix of its own. By a reshape, because expand_dims
    gives the new axis a stride of 1, which MLX's CPU backend (0.32) takes for a transposed matrix, and OpenBLAS
    multiplies that five times slower."""
    return x.reshape(*leading, 1, x.shape[-1])
