"""The gated delta rule over whole sequences, a chunk at a time (arXiv 2412.06464, section 3.3)."""

import torch
from torch import Tensor

from mlx_model.practice.trunk import elementwise

CHUNK = 32
"""Tokens a chunk: 32 was the fastest of 16, 32 and 64 with heads of 64 on a CPU."""


def delta_rule(q: Tensor, k: Tensor, v: Tensor, decay: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """q, k, v [batch, heads, tokens, head], log decay and beta [batch, heads, tokens]; tokens is a multiple of
    CHUNK. Gives what is read at each token, in the shape of v, and the state after the last token [batch,
    heads, head, head]. A token whose decay and beta are zero leaves the state as it is."""
    q, k, between, k_beta, v_beta, k_start, q_start, k_end, chunk_decay = elementwise.delta_chunks(
        (q, k, v), decay, beta, CHUNK
    )
    k_transposed = k.transpose(-1, -2)
    inverse = _inverse_of_unit_plus(((k_beta @ k_transposed) * between).tril(-1))
    values, keys = inverse @ v_beta, inverse @ k_start
    within = (q @ k_transposed) * between
    state = q.new_zeros(*q.shape[:2], q.shape[-1], v.shape[-1])
    # Unbound at once: taken one by one, each part's gradient would be a tensor of the whole size.
    parts = (values, keys, q_start, within, k_end.transpose(-1, -2))
    read = []
    for n, (value, key, query, inside, to_end) in enumerate(
        zip(*(part.unbind(2) for part in parts), strict=True)
    ):
        new = value - key @ state
        read.append(query @ state + inside @ new)
        state = state * chunk_decay[:, :, n, None, None] + to_end @ new
    return torch.stack(read, 2).reshape(v.shape), state


def delta_step(  # noqa: PLR0917 - as `delta_rule`, and the state
    q: Tensor, k: Tensor, v: Tensor, decay: Tensor, beta: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One token: q, k, v [batch, heads, 1, head], log decay and beta [batch, heads, 1]; the result is as that
    of `delta_rule`."""
    state = state * decay.exp().unsqueeze(-1)
    state = state + k.transpose(-1, -2) @ ((v - k @ state) * beta.unsqueeze(-1))
    return q @ state, state


def _inverse_of_unit_plus(lower: Tensor) -> Tensor:
    """(I + lower)⁻¹ for a strictly lower triangular matrix: the product of I + (-lower)^(2^n), which ends since
    the powers become zero."""
    size = lower.shape[-1]
    power = -lower
    inverse = power + torch.eye(size, device=lower.device)
    reached = 2
    while reached < size:
        power = power @ power
        inverse = inverse + inverse @ power
        reached *= 2
    return inverse
