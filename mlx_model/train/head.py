"""The MTP layer in training: its initial weights, its forward pass over whole sequences, its loss."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.drafters.mtp import MultiTokenPrediction
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import LinearMap
from mlx_model.state.kv import KVBuffer
from mlx_model.weights.checkpoint import Checkpoint, Stored, StoredVector, is_mtp, open_mtp, stored_name
from mlx_model.weights.layout import Projection, Vector, mtp_items

Tensors = dict[str, mx.array]

JUDGED_AT_ONCE = 256
"""Positions whose logits are in memory at once: 256 * 151,936 float32 are 156 MB."""

_LAYER = "mtp.layers.0."


def initial_head(checkpoint: Checkpoint, graft: Path | None, seed: int) -> tuple[Tensors, str, float]:
    """The initial tensors by canonical name, in float32; their origin, for display; and their rotary base.

    They come from `graft`, else from the checkpoint's own layer, else from a copy of the last attention layer
    of the same shape, which has learnt to attend and to route, behind a projection that adds embedding and
    hidden state. Raises ConfigError or CheckpointError.
    """
    config = checkpoint.config
    if graft is not None:
        sibling = ModelConfig.from_directory(graft)
        stored = open_mtp(graft, config)
        return _read(checkpoint, stored), graft.resolve().name, sibling.mtp_rope_theta or sibling.rope_theta
    theta = config.mtp_rope_theta or config.rope_theta
    if checkpoint.has_mtp:
        return stored_head(checkpoint), "its own", theta
    return _from_scratch(checkpoint, seed), "from scratch", config.rope_theta


def stored_head(checkpoint: Checkpoint) -> Tensors:
    """The checkpoint's own MTP layer, unpacked, in float32. Raises CheckpointError."""
    return _read(checkpoint, filter(is_mtp, checkpoint.stored))


def _from_scratch(checkpoint: Checkpoint, seed: int) -> Tensors:
    config = checkpoint.config
    sparse = config.num_experts > 0
    alike = [
        layer
        for layer in range(config.num_hidden_layers)
        if not config.is_linear(layer) and config.is_sparse(layer) is sparse
    ]
    prefix = f"model.layers.{alike[-1]}." if alike else None
    copied: Tensors = {}
    if prefix is not None:
        stored = (item for item in checkpoint.stored if stored_name(item).startswith(prefix))
        copied = {
            _LAYER + name.removeprefix(prefix): tensor for name, tensor in _read(checkpoint, stored).items()
        }
    tensors: Tensors = {}
    key = mx.random.key(seed)
    for item in mtp_items(config):
        if isinstance(item, Vector):
            tensors[item.name] = copied.get(item.name, mx.ones(item.shape))
            continue
        key, own = mx.random.split(key)
        name = f"{item.path}.weight"
        tensors[name] = copied[name] if name in copied else _random(item, own)
        if item.bias:
            tensors[f"{item.path}.bias"] = copied.get(f"{item.path}.bias", mx.zeros((item.row_count,)))
        if item.path == "mtp.fc":
            # [embedding | hidden state] → half their sum, plus noise.
            both = mx.concatenate([mx.eye(config.hidden_size)] * 2, axis=1)
            tensors[name] = 0.5 * (both + tensors[name])
        mx.eval(tensors[name])
    return tensors


def _random(item: Projection, key: mx.array) -> mx.array:
    return mx.random.normal(item.shape, key=key) * float(item.columns**-0.5)


def _read(checkpoint: Checkpoint, stored: Iterable[Stored]) -> Tensors:
    """The tensors of stored items by canonical name, unpacked and joined, in float32."""
    part = replace(checkpoint, stored=tuple(stored))
    found = dict(part.tensors())
    for path, packing in part.quantization.items():
        found[f"{path}.weight"] = mx.dequantize(
            found.pop(f"{path}.weight"),
            found.pop(f"{path}.scales"),
            found.pop(f"{path}.biases", None),
            group_size=packing.group_size,
            bits=packing.bits,
            mode=packing.mode,
        )
        mx.eval(found[f"{path}.weight"])
    whole: Tensors = {}
    for item in part.stored:
        if isinstance(item, StoredVector):
            whole[item.vector.name] = found.pop(item.vector.name).astype(mx.float32)
            continue
        for kind in ("weight", "bias") if item.projection.bias else ("weight",):
            parts = [found.pop(f"{path}.{kind}").astype(mx.float32) for path, _ in item.modules()]
            axis = -1 if kind == "bias" else -2
            name = f"{item.projection.path}.{kind}"
            whole[name] = parts[0] if len(parts) == 1 else mx.concatenate(parts, axis=axis)
            mx.eval(whole[name])
    return whole


class _Unrolled(KVBuffer):
    """Keys and values of drafts at all positions of a sequence at once. As in drafting, the first draft at a
    position attends to the pairs up to it; each further draft to those and to the drafts before it at its own
    position."""

    def __init__(self) -> None:
        super().__init__(0, 0, mx.float32)
        self._keys: list[mx.array] = []
        self._values: list[mx.array] = []

    @override
    def attend(self, queries: mx.array, keys: mx.array, values: mx.array, scale: float) -> mx.array:
        self._keys.append(keys)
        self._values.append(values)
        self.length += 1  # the next drafts are one position further on
        if len(self._keys) == 1:
            return mx.fast.scaled_dot_product_attention(queries, keys, values, scale=scale, mask="causal")
        heads, count, size = keys.shape[1:]
        # Query heads that share a key head side by side: [1, key heads, sharing, n, head_dim].
        grouped = (queries * scale).reshape(1, heads, -1, count, size)
        positions = mx.arange(count)
        scores = grouped @ self._keys[0][:, :, None].swapaxes(-1, -2)
        scores = mx.where(positions[:, None] >= positions, scores, -mx.inf)
        drafts = [(grouped * keys[:, :, None]).sum(axis=-1, keepdims=True) for keys in self._keys[1:]]
        weights = mx.softmax(mx.concatenate([scores, *drafts], axis=-1), axis=-1, precise=True)
        output = weights[..., :count] @ self._values[0][:, :, None]
        for draft, own in enumerate(self._values[1:]):
            output = output + weights[..., count + draft, None] * own[:, :, None]
        return output.reshape(queries.shape)


def unroll(
    config: ModelConfig, tensors: Mapping[str, mx.array], embeddings: mx.array, hidden: mx.array, depth: int
) -> list[mx.array]:
    """The layer's states of drafts 1 to `depth` at every position of a sequence, each [1, n - depth, hidden].

    embeddings and hidden [1, n, hidden] of n tokens. Draft d at position t follows token t + d; its target is
    the model's hidden state there. Computed in the dtype of `hidden`.
    """
    layer = MultiTokenPrediction(
        config,
        Parameters({name: tensor.astype(hidden.dtype) for name, tensor in tensors.items()}).scope("mtp"),
    )
    count = hidden.shape[1] - depth
    kv = _Unrolled()
    states, state = [], hidden[:, :count]
    for draft in range(1, depth + 1):
        state = layer(embeddings[:, draft : draft + count], state, kv)
        states.append(state)
    return states


class Judge:
    """The loss of drafts: their Kullback-Leibler divergence from the model's distribution of the same token,
    which its head gives from its hidden states. `chunk`: positions computed at once."""

    def __init__(self, head: LinearMap, chunk: int = JUDGED_AT_ONCE) -> None:
        self._head = head
        self._chunk = chunk

    def __call__(self, states: mx.array, hidden: mx.array) -> tuple[float, int, mx.array]:
        """The divergence in nats, summed over positions; the number of positions at which draft and model have
        the same most likely token; and the divergence's gradient by `states`. `states` and `hidden` are [1, n,
        hidden], as is the gradient."""
        divergence, agreed, gradients = 0.0, 0, []
        for start in range(0, states.shape[1], self._chunk):
            state = states[:, start : start + self._chunk]
            wanted = _log_softmax(self._head(hidden[:, start : start + self._chunk]))
            logits = self._head(state)
            found = _log_softmax(logits)
            share = mx.exp(wanted)
            far = (share * (wanted - found)).sum()
            same = (mx.argmax(wanted, axis=-1) == mx.argmax(found, axis=-1)).sum()
            # The gradient by the logits; then through the head, which may be packed.
            by_logits = (mx.exp(found) - share).astype(logits.dtype)
            _, (gradient,) = mx.vjp(lambda x: [self._head(x)], [state], [by_logits])
            mx.eval(far, same, gradient)
            divergence += float(far)
            agreed += int(same)
            gradients.append(gradient)
        return divergence, agreed, mx.concatenate(gradients, axis=1)

    def same(self, states: mx.array, hidden: mx.array) -> NDArray[np.bool_]:
        """At which positions [n] draft and model have the same most likely token; inputs as of the loss."""
        found, wanted = (np.array(mx.argmax(self._head(part), axis=-1)) for part in (states, hidden))
        same: NDArray[np.bool_] = found[0] == wanted[0]
        return same


def _log_softmax(logits: mx.array) -> mx.array:
    logits = logits.astype(mx.float32)
    return logits - mx.logsumexp(logits, axis=-1, keepdims=True)
