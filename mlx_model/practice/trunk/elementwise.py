"""The network's elementwise arithmetic, in pieces that are worth compiling.

Matrix products stay outside: compiled as one graph with them, the network took longer here than without.
"""

import torch
from torch import Tensor
from torch.nn import functional

_L2_EPS = 1e-6


def rms_norm(x: Tensor, offset: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """RMSNorm with the weight stored as its offset from one; computed in float32."""
    x = x.float()
    return (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * (1.0 + offset)).to(dtype)


def normed_rotation(x: Tensor, offset: Tensor, eps: float, cos: Tensor, sin: Tensor) -> Tensor:
    """[batch, heads, tokens, head] normed a head, then its first dimensions rotated by position."""
    dtype = x.dtype
    x = x.float()
    x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * (1.0 + offset)
    width = cos.shape[-1]
    turned, rest = x[..., :width], x[..., width:]
    first, second = turned[..., : width // 2], turned[..., width // 2 :]
    return torch.cat([turned * cos + torch.cat([-second, first], -1) * sin, rest], -1).to(dtype)


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """SwiGLU."""
    return functional.silu(gate) * up


def gated_halves(x: Tensor, share: Tensor) -> Tensor:
    """SwiGLU of [gate | up], times the router's share."""
    gate, up = x.chunk(2, -1)
    return functional.silu(gate) * up * share


def delta_inputs(
    mixed: Tensor, ba: Tensor, conv: Tensor, bias_and_rate: tuple[Tensor, Tensor], padding: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Convolution, normalization and gates of a DeltaNet layer.

    mixed [batch, tokens, heads, 4, head] holds q, k, v and z of each head, ba [batch, tokens, heads, 2] the two
    gates before their activations. Gives q, k, v [batch, heads, tokens + padding, head], log decay and beta
    [batch, heads, tokens + padding], float32.
    """
    batch, tokens, heads, _, dim = mixed.shape
    taps = conv.shape[1]
    window = mixed[:, :, :, :3].transpose(2, 3).reshape(batch, tokens, 3 * heads * dim)
    window = functional.pad(window, (0, 0, taps - 1, 0))
    total = window[:, 0:tokens] * conv[:, 0]
    for tap in range(1, taps):
        total = total + window[:, tap : tap + tokens] * conv[:, tap]
    total = functional.silu(total.float()).view(batch, tokens, 3, heads, dim)
    q, k, v = total[:, :, 0], total[:, :, 1], total[:, :, 2]
    q = q * torch.rsqrt((q * q).sum(-1, keepdim=True) + _L2_EPS) * dim**-0.5
    k = k * torch.rsqrt((k * k).sum(-1, keepdim=True) + _L2_EPS)
    beta = ba[..., 0].sigmoid()
    dt_bias, a_log = bias_and_rate
    decay = -a_log.exp() * functional.softplus(ba[..., 1] + dt_bias)
    q, k, v = (functional.pad(x, (0, 0, 0, 0, 0, padding)).transpose(1, 2).contiguous() for x in (q, k, v))
    decay, beta = (functional.pad(x, (0, 0, 0, padding)).transpose(1, 2).contiguous() for x in (decay, beta))
    return q, k, v, decay, beta


def delta_chunks(
    qkv: tuple[Tensor, Tensor, Tensor], decay: Tensor, beta: Tensor, chunk: int
) -> tuple[Tensor, ...]:
    """What the chunked delta rule multiplies: q, k [batch, heads, chunks, chunk, head], the decay between each
    two tokens of a chunk, and k, v and q scaled by beta and by the decay from the chunk's start or to its
    end."""
    batch, heads, tokens, dim = qkv[0].shape
    chunks = tokens // chunk
    q, k, v = (x.reshape(batch, heads, chunks, chunk, dim) for x in qkv)
    beta = beta.reshape(batch, heads, chunks, chunk, 1)
    total = decay.reshape(batch, heads, chunks, chunk).cumsum(-1)
    later = torch.ones(chunk, chunk, dtype=torch.bool, device=q.device).triu(1)
    between = (total.unsqueeze(-1) - total.unsqueeze(-2)).masked_fill(later, float("-inf")).exp()
    k_beta, start = k * beta, total.exp().unsqueeze(-1)
    to_end = (total[..., -1:] - total).exp().unsqueeze(-1)
    return q, k, between, k_beta, v * beta, k_beta * start, q * start, k * to_end, total[..., -1].exp()


def delta_output(y: Tensor, z: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The gated norm after the delta rule: y [batch, heads, at least tokens, head] and z [batch, tokens, heads,
    head] → [batch, tokens, heads · head] in the dtype of z."""
    batch, tokens, heads, dim = z.shape
    y = y[:, :, :tokens].transpose(1, 2)
    y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + eps) * weight * functional.silu(z.float())
    return y.reshape(batch, tokens, heads * dim).to(z.dtype)


def compile_all() -> None:
    """Compiles every piece, for any length. The first steps then take about a minute longer."""
    for name in (
        "rms_norm",
        "normed_rotation",
        "gated",
        "gated_halves",
        "delta_inputs",
        "delta_chunks",
        "delta_output",
    ):
        # The norm alone comes in more forms (dtypes, ranks, with and without gradient) than the default of 8.
        globals()[name] = torch.compile(globals()[name], dynamic=True, recompile_limit=64)
