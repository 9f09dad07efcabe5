"""The gated delta rule by matrix products, for a CPU with a fast BLAS: a few tokens one by one, and long blocks
a chunk at a time (the WY form: arXiv 2406.06484, 2412.06464).

MLX's CPU backend (0.32) runs the rule token by token in small operations: 8 for a token, in a graph of 29. By
matrix products one token is 1.3 times as fast and four 1.7 to 3.4 times; chunks of long blocks are 8 to 20
times as fast (OpenBLAS 0.3.21, blocks of 128 and 512 tokens, two busy cores). What a token of a long block gets
depends on where its chunk begins, up to rounding.
"""

from collections.abc import Callable

import mlx.core as mx

CHUNK = 16
"""Tokens of a chunk. 16 was the fastest of 16, 32 and 64 for heads of 32, 64 and 128 dimensions (OpenBLAS
0.3.21, two busy cores)."""
_LONG_BLOCK = 32
"""Tokens of a block from which on it is computed in chunks: more than a verified draft has (decode/verify.py),
so that drafts are verified by the same operations that plain decoding takes."""
_LEAST_DECAY = 1e-38
"""A decay of zero has no logarithm; a state scaled by this much is gone all the same."""


def _inverted(system: mx.array) -> mx.array:
    return mx.linalg.tri_inv(system, stream=mx.cpu)


def delta_update_by_products(  # noqa: PLR0917 (as the function that it stands in for)
    q: mx.array, k: mx.array, v: mx.array, decay: mx.array, beta: mx.array, matrix: mx.array
) -> tuple[mx.array, mx.array]:
    """As `chunked_delta_update`, in chunks where the block is long enough for them to pay."""
    update = chunked_delta_update if v.shape[1] >= _LONG_BLOCK else stepped_delta_update
    return update(q, k, v, decay, beta, matrix)


def stepped_delta_update(  # noqa: PLR0917 (as the function that it stands in for)
    q: mx.array, k: mx.array, v: mx.array, decay: mx.array, beta: mx.array, matrix: mx.array
) -> tuple[mx.array, mx.array]:
    """As `chunked_delta_update`, token by token; what a token gets does not depend on the block around it.

    A token's value is u = beta · v - S · (beta · decay · k), and its state decay · S + u · k.
    """
    tokens, heads, value_dim = v.shape[1:]
    repeats = heads // q.shape[2]
    if repeats > 1:
        q, k = (mx.repeat(part, repeats, axis=2) for part in (q, k))
    beta, decay = beta[..., None], decay[..., None]
    columns, row = (tokens, heads, -1, 1), (tokens, heads, 1, -1)
    parts = (
        (beta * v).reshape(columns),
        (beta * decay * k).reshape(columns),
        k.reshape(row),
        q.reshape(columns),
        decay.reshape(columns),
    )
    outputs = []
    for value, erased, key, query, kept in zip(*(mx.split(part, tokens) for part in parts), strict=True):
        written = mx.addmm(value, matrix, erased, alpha=-1.0)
        matrix = mx.addmm(matrix * kept, written, key)
        outputs.append(matrix @ query)
    y = outputs[0] if tokens == 1 else mx.concatenate(outputs)
    return y.reshape(1, tokens, heads, value_dim), matrix


def chunked_delta_update(  # noqa: PLR0917 (as the function that it stands in for)
    q: mx.array,
    k: mx.array,
    v: mx.array,
    decay: mx.array,
    beta: mx.array,
    matrix: mx.array,
    *,
    chunk: int = CHUNK,
    inverted: Callable[[mx.array], mx.array] = _inverted,
) -> tuple[mx.array, mx.array]:
    """What mx.fast.gated_delta_update computes: q and k [1, tokens, Hk, Dk], v [1, tokens, Hv, Dv], decay and
    beta [1, tokens, Hv], matrix [1, Hv, Dv, Dk], all float32 → outputs [1, tokens, Hv, Dv] and the matrix after
    the block. `chunk`: tokens of one; `inverted`: the inverse of lower triangular matrices [..., chunk, chunk]
    with ones on the diagonal, which has to have a gradient where one is wanted.

    Within a chunk a token's value is corrected by what the keys before it retrieve: u_i = beta_i · (v_i -
    Σ_j<i fade_ij · (k_i · k_j) · u_j - fade_i · S k_i). That is one triangular system for the whole chunk,
    whose inverse does not depend on the state S before it: those of all chunks are computed at once.
    """
    tokens, heads = q.shape[1], v.shape[2]
    repeats = heads // q.shape[2]
    q, k = (mx.repeat(_by_chunk(part, chunk), repeats, axis=1) for part in (q, k))
    v, beta = _by_chunk(v, chunk), _by_chunk(beta, chunk)[..., None]
    log_decay = mx.log(mx.maximum(_by_chunk(decay, chunk, 1.0), _LEAST_DECAY))
    fade, from_start, to_end = _fades(log_decay)
    keys = k.swapaxes(-1, -2)
    # A decay applies before a token writes: token i's own value is not faded.
    system = mx.eye(chunk) + beta * (k @ keys) * mx.tril(fade, -1)
    inverse = inverted(system)
    values = inverse @ (beta * v)
    retrieved = inverse @ (beta * from_start * k)
    seen = (q @ keys) * fade
    q, keys = q * from_start, (k * to_end).swapaxes(-1, -2)
    whole = from_start[..., -1:, :]
    state = matrix.swapaxes(-1, -2)
    outputs = []
    # Split into views; MLX (0.32) copies what a single index chooses.
    chunks = (mx.split(part, len(q)) for part in (values, retrieved, q, seen, whole, keys))
    for value, retrieval, query, sight, left, key in zip(*chunks, strict=True):
        written = value - retrieval @ state
        outputs.append(query @ state + sight @ written)
        state = left * state + key @ written
    y = mx.concatenate(outputs).swapaxes(1, 2).reshape(1, -1, heads, v.shape[-1])
    return y[:, :tokens], mx.contiguous(state.swapaxes(-1, -2))


def _by_chunk(x: mx.array, chunk: int, filling: float = 0.0) -> mx.array:
    """[1, tokens, H, ...] → [chunks, H, chunk, ...]; `filling` stands where tokens are missing in the last."""
    missing = -x.shape[1] % chunk
    if missing:
        widths = [(0, 0), (0, missing), *[(0, 0)] * (x.ndim - 2)]
        x = mx.pad(x, widths, constant_values=mx.array(filling))
    return x.reshape(-1, chunk, *x.shape[2:]).swapaxes(1, 2)


def _fades(log_decay: mx.array) -> tuple[mx.array, mx.array, mx.array]:
    """log_decay [chunks, H, chunk] → what is left, after the decay of token i, of what token j wrote
    [..., i, j] (zero for j > i) and of the state before the chunk [..., i, 1]; and at the chunk's end of what
    token i wrote [..., i, 1].

    Logarithms are summed from j to i for each pair: a difference of two sums from the start would lose digits
    after a decay near zero.
    """
    after = mx.tri(log_decay.shape[-1], k=-1, dtype=mx.float32)
    summed = mx.cumsum(log_decay[..., :, None] * after, axis=-2)
    fade = mx.tril(mx.exp(summed))
    from_start = mx.exp(mx.cumsum(log_decay, axis=-1))[..., None]
    return fade, from_start, fade[..., -1:, :].swapaxes(-1, -2)
