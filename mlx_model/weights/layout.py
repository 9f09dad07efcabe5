"""The canonical parameter tree: every tensor the model has, with its shape, from the config alone.

This is the layout `convert` writes and the layers ask for. Projections that read the same input are one matrix,
rows grouped by kind (`mlx_model/layers/projections.py` documents the order of rows and the names of the parts).
On disk, the tensors of a bank of experts lie expert by expert (see `expert_rows`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from mlx_model.config.model_config import ModelConfig


class Component(StrEnum):
    """The component of the model that a tensor belongs to, by which sizes are reported and recipes choose
    bits."""

    EMBEDDING = "embedding"
    HEAD = "head"
    ATTENTION = "attention"
    DELTA_NET = "delta_net"
    ROUTER = "router"
    EXPERTS = "experts"
    SHARED_EXPERT = "shared_expert"
    DENSE_MLP = "dense_mlp"
    NORMS = "norms"
    MTP = "mtp"


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive output rows of a projection that checkpoints may store, and pack, as a matrix of its own."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Projection:
    """A matrix `PATH.weight` [rows, columns], or [experts, rows, columns] for a bank of experts; with `bias`,
    `PATH.bias` [rows] too."""

    path: str
    component: Component
    rows: tuple[Rows, ...]
    columns: int
    experts: int = 0
    bias: bool = False
    mtp: bool = False

    @property
    def row_count(self) -> int:
        return sum(rows.count for rows in self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        leading = (self.experts,) if self.experts else ()
        return (*leading, self.row_count, self.columns)

    @property
    def parameters(self) -> int:
        """How many weights, the bias included."""
        return max(self.experts, 1) * self.row_count * self.columns + (self.row_count if self.bias else 0)


@dataclass(frozen=True, slots=True)
class Vector:
    """A small tensor that is never packed. `offset_norm`: the original checkpoint stores it as an offset from
    one."""

    name: str
    component: Component
    shape: tuple[int, ...]
    offset_norm: bool = False
    mtp: bool = False

    @property
    def parameters(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count


Item = Projection | Vector


def model_items(config: ModelConfig, *, mtp: bool) -> Iterator[Item]:
    """Everything in the tree, in the order of the forward pass; the MTP layer last, where there is one."""
    yield Projection(
        "model.embed_tokens", Component.EMBEDDING, (Rows("", config.vocab_size),), config.hidden_size
    )
    for layer in range(config.num_hidden_layers):
        prefix = f"model.layers.{layer}"
        yield from _layer(config, prefix, linear=config.is_linear(layer), sparse=config.is_sparse(layer))
    yield Vector("model.norm.weight", Component.NORMS, (config.hidden_size,), offset_norm=True)
    if not config.tie_word_embeddings:
        yield Projection("lm_head", Component.HEAD, (Rows("", config.vocab_size),), config.hidden_size)
    if mtp:
        yield from mtp_items(config)


def mtp_items(config: ModelConfig) -> Iterator[Item]:
    """The MTP layer: two norms and a projection, a full-attention layer with its own experts, a norm."""
    hidden = config.hidden_size
    yield Projection("mtp.fc", Component.MTP, (Rows("", hidden),), 2 * hidden, mtp=True)
    for name in ("pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"):
        yield Vector(f"mtp.{name}.weight", Component.MTP, (hidden,), offset_norm=True, mtp=True)
    yield from _layer(config, "mtp.layers.0", linear=False, sparse=config.num_experts > 0, mtp=True)


def _layer(
    config: ModelConfig, prefix: str, *, linear: bool, sparse: bool, mtp: bool = False
) -> Iterator[Item]:
    hidden = (config.hidden_size,)
    yield Vector(f"{prefix}.input_layernorm.weight", Component.NORMS, hidden, offset_norm=True, mtp=mtp)
    yield from _delta_net(config, prefix) if linear else _attention(config, prefix, mtp)
    yield Vector(
        f"{prefix}.post_attention_layernorm.weight", Component.NORMS, hidden, offset_norm=True, mtp=mtp
    )
    if sparse:
        yield from _experts(config, prefix, mtp)
    else:
        yield from _mlp(f"{prefix}.mlp", Component.DENSE_MLP, config.hidden_size, config.intermediate_size, mtp)


def _attention(config: ModelConfig, prefix: str, mtp: bool) -> Iterator[Item]:
    queries = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    path = f"{prefix}.self_attn"
    yield Projection(
        f"{path}.qkv_proj",
        Component.ATTENTION,
        (Rows("qg", 2 * queries), Rows("k", keys), Rows("v", keys)),
        config.hidden_size,
        bias=config.attention_bias,
        mtp=mtp,
    )
    for name in ("q_norm", "k_norm"):
        yield Vector(f"{path}.{name}.weight", Component.NORMS, (config.head_dim,), offset_norm=True, mtp=mtp)
    yield Projection(
        f"{path}.o_proj",
        Component.ATTENTION,
        (Rows("", config.hidden_size),),
        queries,
        bias=config.attention_bias,
        mtp=mtp,
    )


def _delta_net(config: ModelConfig, prefix: str) -> Iterator[Item]:
    path = f"{prefix}.linear_attn"
    heads = config.linear_num_value_heads
    yield Projection(
        f"{path}.in_proj",
        Component.DELTA_NET,
        tuple(Rows(name, count) for name, count in config.linear_in_parts),
        config.hidden_size,
    )
    yield Vector(
        f"{path}.conv1d.weight", Component.DELTA_NET, (config.conv_dim, config.linear_conv_kernel_dim, 1)
    )
    yield Vector(f"{path}.A_log", Component.DELTA_NET, (heads,))
    yield Vector(f"{path}.dt_bias", Component.DELTA_NET, (heads,))
    yield Vector(f"{path}.norm.weight", Component.NORMS, (config.linear_value_head_dim,))
    yield Projection(
        f"{path}.out_proj", Component.DELTA_NET, (Rows("", config.hidden_size),), config.linear_value_dim
    )


def _experts(config: ModelConfig, prefix: str, mtp: bool) -> Iterator[Item]:
    path, hidden, experts = f"{prefix}.mlp", config.hidden_size, config.num_experts
    inner = config.moe_intermediate_size
    yield Projection(f"{path}.gate", Component.ROUTER, (Rows("", experts),), hidden, mtp=mtp)
    yield Projection(
        f"{path}.experts.gate_up_proj",
        Component.EXPERTS,
        (Rows("gate", inner), Rows("up", inner)),
        hidden,
        experts=experts,
        mtp=mtp,
    )
    yield Projection(
        f"{path}.experts.down_proj", Component.EXPERTS, (Rows("", hidden),), inner, experts=experts, mtp=mtp
    )
    shared = config.shared_expert_intermediate_size
    yield from _mlp(f"{path}.shared_expert", Component.SHARED_EXPERT, hidden, shared, mtp)
    yield Projection(f"{path}.shared_expert_gate", Component.ROUTER, (Rows("", 1),), hidden, mtp=mtp)


def _mlp(path: str, component: Component, hidden: int, inner: int, mtp: bool) -> Iterator[Item]:
    yield Projection(
        f"{path}.gate_up_proj", component, (Rows("gate", inner), Rows("up", inner)), hidden, mtp=mtp
    )
    yield Projection(f"{path}.down_proj", component, (Rows("", hidden),), inner, mtp=mtp)
