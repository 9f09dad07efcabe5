"""Weights to begin with: random ones with a circuit that copies.

A model of this size learns to copy late; until then it writes fluent edits with wrong names in them. So copying
is constructed. Each token has a random code in the embedding. Two heads of the first DeltaNet layer remember
nothing and, through their convolution, write the codes of the last token and of the one before into the
residual. In the first attention layer two heads look for places that follow the same token as the current one,
two for places that follow the same two, and all bring the code of the token found to where the head reads it
(an induction head: Olsson et al., 2022, https://arxiv.org/abs/2209.11895). Their projections come from ridge
regression on what the layers between make of the codes.
"""

import torch
from torch import Tensor

from mlx_model.errors import ConfigError
from mlx_model.practice.trunk.network import Attention, DeltaNet, Network
from mlx_model.practice.trunk.shape import Shape

_CODE, _KEY = 72, 48
"""Dimensions of a token's code, and of its shorter form for keys."""
_PREVIOUS = _CODE
"""Where in the residual the last two tokens' short codes are written, one after the other."""
_FOUND = _PREVIOUS + 2 * _KEY
"""Where the code of the token found is written, for the head to read."""
_ONE = 255
"""A dimension of the embedding that is always one."""
_NORMED_ONE = 2.66
"""What that one is after the first norm, measured with these codes."""
_SHARPNESS = 1.6
"""Of the attention: norms of queries and keys. At 1 a match is not told from near misses among 200 tokens."""
_FIT_ROWS, _FIT_LENGTH, _RIDGE = 24, 256, 3.0


def initial_network(shape: Shape, seed: int) -> Network:
    """A new network that copies. Raises ConfigError where the shape has no room for the circuit."""
    if (shape.hidden_size, shape.head_dim, shape.linear_key_head_dim) != (256, 64, 64) or (
        shape.num_attention_heads,
        shape.num_key_value_heads,
    ) != (4, 2):
        raise ConfigError("The copying circuit is made for hidden size 256, 4 heads of 64 and 2 of keys.")
    torch.manual_seed(seed)
    network = Network(shape)
    with torch.no_grad():
        codes = _write_codes(network)
        short = torch.linalg.qr(torch.randn(_CODE, _KEY))[0].T
        first_delta = network.model.layers[0].linear_attn
        for head, tap in ((0, 2), (1, 1)):
            _remember(first_delta, head, tap, short)
        _copy(network, codes, short)
    return network


def copying_share(network: Network, seed: int = 1) -> float:
    """The share of tokens told right in random passages that repeat, once every token has been seen."""
    random = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(8):
        passage = torch.randint(10, network.shape.vocab_size - 10, (90,), generator=random)
        rows.append(passage.repeat(3)[:240])
    tokens = torch.stack(rows)
    with torch.no_grad():
        told = network.lm_head(network.hidden(tokens)[:, 110:-1]).argmax(-1)
    return float((told == tokens[:, 111:]).float().mean())


def _write_codes(network: Network) -> Tensor:
    """Random codes [vocabulary, _CODE], in the embedding and, where the found token is read, in the head."""
    embedding = network.model.embed_tokens.weight
    codes = torch.randn(embedding.shape[0], _CODE)
    embedding.normal_(std=0.02)
    embedding[:, :_CODE] = codes * 0.7
    embedding[:, _ONE] = 1.0
    network.lm_head.weight[:, _FOUND : _FOUND + _CODE] = codes * 0.1
    return codes


def _remember(layer: DeltaNet, head: int, tap: int, short: Tensor) -> None:
    """Makes a head write the short code of the token that `tap` of the convolution's four reaches: 2 is the
    last one, 1 the one before. Query and key are constant, so the head reads what it has just written."""
    heads, dim = layer.heads, layer.dim
    rows = layer.in_proj_qkvz.weight.view(heads, 4, dim, -1)[head]
    rows.zero_()
    rows[0, :, _ONE] = rows[1, :, _ONE] = 1 / _NORMED_ONE
    rows[2, :_KEY, :_CODE] = short
    rows[3, :, _ONE] = 3 / _NORMED_ONE
    taps = layer.conv1d.weight.view(3, heads, dim, -1)[:, head]
    taps.zero_()
    taps[0, :, 3] = taps[1, :, 3] = taps[2, :, tap] = 1.0
    gates = layer.in_proj_ba.weight[2 * head : 2 * head + 2]
    gates.zero_()
    gates[0, _ONE] = 6 / _NORMED_ONE
    for row in range(_KEY):
        layer.out_proj.weight[_PREVIOUS + _KEY * head + row, head * dim + row] = 0.25


def _copy(network: Network, codes: Tensor, short: Tensor) -> None:
    """Makes the first attention layer find and bring what followed the last time."""
    shape = network.shape
    index = shape.full_attention_interval - 1
    layer = network.model.layers[index]
    tokens = torch.randint(10, shape.vocab_size - 10, (_FIT_ROWS, _FIT_LENGTH))
    seen: list[Tensor] = []
    hook = layer.input_layernorm.register_forward_hook(
        lambda _module, _inputs, output: seen.append(output.float())
    )
    network.hidden(tokens)
    hook.remove()
    code, now = codes[tokens], codes[tokens] @ short.T
    last, before = _shifted(now, 1), _shifted(now, 2)

    def fit(wanted: Tensor) -> Tensor:
        x, y = (part[:, 4:].reshape(-1, part.shape[-1]) for part in (seen[0], wanted))
        return torch.linalg.solve(x.T @ x + _RIDGE * torch.eye(x.shape[-1]), x.T @ y).T

    attention: Attention = layer.self_attn
    hidden, heads, kv_heads, dim = (
        shape.hidden_size,
        shape.num_attention_heads,
        shape.num_key_value_heads,
        shape.head_dim,
    )
    query = attention.q_proj.weight.view(heads, 2, dim, hidden)
    key, value = (matrix.weight.view(kv_heads, dim, hidden) for matrix in (attention.k_proj, attention.v_proj))
    query[:, 0] *= 0.05
    query[:, 1] *= 0.02
    key *= 0.05
    value *= 0.05
    # Matching is done in the dimensions that are not rotated, so that distance plays no part.
    unrotated = shape.rotary_dim
    one_token = fit(now[..., :32]), fit(last[..., :32])
    two_tokens = (
        fit(torch.cat([now[..., 32:48], last[..., :16]], -1)),
        fit(torch.cat([last[..., 32:48], before[..., :16]], -1)),
    )
    for head, (wanted, offered) in enumerate((one_token, one_token, two_tokens, two_tokens)):
        query[head, 0, unrotated:] += wanted
        if head % 2 == 0:
            key[head // 2, unrotated:] += offered
    found = fit(code)
    # A head is narrower than a code: the first two bring its beginning, the others its end.
    for kv_head, start in enumerate((0, _CODE - dim)):
        value[kv_head] += found[start : start + dim]
        for head in (2 * kv_head, 2 * kv_head + 1):
            rows = torch.arange(dim)
            attention.o_proj.weight[_FOUND + start + rows, head * dim + rows] = 1.0
    attention.q_norm.weight.fill_(_SHARPNESS - 1)
    attention.k_norm.weight.fill_(_SHARPNESS - 1)


def _shifted(x: Tensor, by: int) -> Tensor:
    return torch.cat([torch.zeros_like(x[:, :by]), x[:, :-by]], 1)
