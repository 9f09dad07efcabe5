"""A DFlash drafter in its published form: a directory with config.json and model.safetensors.

Tensors are named as in transformers' Qwen3, below no prefix or below `model.`, with `fc` and `hidden_norm`
beside `norm`. Projections of the same input are joined (see `layers.drafters.dflash`), and packed if that is
asked for.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx

from mlx_model.config.dflash_config import DFlashConfig
from mlx_model.config.model_config import ModelConfig, Quantization
from mlx_model.errors import CheckpointError
from mlx_model.state.disk.fingerprint import model_fingerprint
from mlx_model.weights.safetensors import FLOAT_TYPES, TensorEntry, TensorReader, read_header

DRAFTER_PACKING = Quantization(bits=8, group_size=64)
"""How a drafter's matrices are packed beside a packed target: at 4 bits, drafts would be accepted less
often."""

BESIDE = "dflash"
"""The folder of a checkpoint directory that may have its drafter."""

_JOINED = {
    "self_attn.kv_proj": ("self_attn.k_proj", "self_attn.v_proj"),
    "mlp.gate_up_proj": ("mlp.gate_proj", "mlp.up_proj"),
}
_PLAIN = ("self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj")
_VECTORS = ("input_layernorm", "post_attention_layernorm", "self_attn.q_norm", "self_attn.k_norm")
_TARGETS = ("embed_tokens.weight", "lm_head.weight")
"""Tensors that some publish along, copies of the target's own, which are used instead."""


@dataclass(frozen=True, slots=True)
class StoredDrafter:
    """A drafter as it was read: canonical tensors, the packing of packed ones by module, and a name that
    differs for every drafter."""

    config: DFlashConfig
    tensors: dict[str, mx.array]
    quantization: dict[str, Quantization]
    name: str


def read_drafter(
    directory: Path, target: ModelConfig, dtype: mx.Dtype, packing: Quantization | None = None
) -> StoredDrafter:
    """The drafter of a directory for a target, in `dtype`, its matrices packed as `packing` says (None: not at
    all). Raises ConfigError or CheckpointError."""
    config = DFlashConfig.from_directory(directory)
    config.check_target(target)
    entries = _entries(directory)
    tensors: dict[str, mx.array] = {}
    quantization: dict[str, Quantization] = {}

    with TensorReader() as reader:

        def read(module: str) -> mx.array:
            entry = entries.pop(f"{module}.weight", None)
            if entry is None:
                raise CheckpointError(f"The drafter in {directory} lacks the tensor {module}.weight.")
            return reader.read(entry).astype(dtype)

        def add(module: str, *sources: str) -> None:
            weight = mx.concatenate([read(source) for source in sources or (module,)])
            if packing is not None and weight.shape[-1] % packing.group_size == 0:
                weight, tensors[f"{module}.scales"], tensors[f"{module}.biases"] = mx.quantize(
                    weight, packing.group_size, packing.bits
                )
                quantization[module] = packing
            tensors[f"{module}.weight"] = weight

        add("fc")
        for module in ("hidden_norm", "norm"):
            tensors[f"{module}.weight"] = read(module)
        for index in range(config.num_hidden_layers):
            layer = f"layers.{index}."
            for module in _PLAIN:
                add(layer + module)
            for module, sources in _JOINED.items():
                add(layer + module, *(layer + source for source in sources))
            for module in _VECTORS:
                tensors[f"{layer}{module}.weight"] = read(layer + module)
            # Layer by layer, so that little is in memory twice.
            mx.eval(tensors)
    if entries:
        raise CheckpointError(
            f"The drafter in {directory} has tensors that this engine does not know: {min(entries)[:120]}."
        )
    name = model_fingerprint(directory, {"dtype": str(dtype)})[:12]
    return StoredDrafter(config, tensors, quantization, name)


def drafter_shapes(config: DFlashConfig) -> dict[str, tuple[int, ...]]:
    """The canonical tensors of a drafter, unpacked, and their shapes."""
    hidden, inner, head = config.hidden_size, config.intermediate_size, config.head_dim
    queries, keys = config.num_attention_heads * head, config.num_key_value_heads * head
    shapes: dict[str, tuple[int, ...]] = {
        "fc": (hidden, len(config.target_layer_ids) * hidden),
        "hidden_norm": (hidden,),
        "norm": (hidden,),
    }
    for index in range(config.num_hidden_layers):
        layer = f"layers.{index}."
        shapes |= {
            f"{layer}input_layernorm": (hidden,),
            f"{layer}post_attention_layernorm": (hidden,),
            f"{layer}self_attn.q_proj": (queries, hidden),
            f"{layer}self_attn.kv_proj": (2 * keys, hidden),
            f"{layer}self_attn.o_proj": (hidden, queries),
            f"{layer}self_attn.q_norm": (head,),
            f"{layer}self_attn.k_norm": (head,),
            f"{layer}mlp.gate_up_proj": (2 * inner, hidden),
            f"{layer}mlp.down_proj": (hidden, inner),
        }
    return {f"{module}.weight": shape for module, shape in shapes.items()}


def write_drafter(
    directory: Path, published: Mapping[str, Any], config: DFlashConfig, tensors: Mapping[str, mx.array]
) -> None:
    """Writes a drafter in its published form. `published`: its config.json, of which `config` was read;
    `tensors`: canonical ones, unpacked. Raises CheckpointError."""
    apart: dict[str, mx.array] = {}
    for name in drafter_shapes(config):
        joined = next((module for module in _JOINED if name.endswith(f".{module}.weight")), None)
        if joined is None:
            apart[name] = tensors[name]
            continue
        sources = _JOINED[joined]
        layer = name.removesuffix(f"{joined}.weight")
        for source, part in zip(sources, mx.split(tensors[name], len(sources)), strict=True):
            apart[f"{layer}{source}.weight"] = part
    try:
        directory.mkdir(parents=True, exist_ok=True)
        mx.save_safetensors(str(directory / "model.safetensors"), apart, {"format": "pt"})
        (directory / "config.json").write_text(json.dumps(published, indent=2) + "\n")
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{directory} cannot be written: {error}.") from None


def drafter_bytes(directory: Path, float_bytes: int, packing: Quantization | None) -> int:
    """Bytes that the drafter's weights will take, from its header. Raises CheckpointError."""
    elements = sum(math.prod(entry.shape) for entry in _entries(directory).values())
    if packing is None:
        return elements * float_bytes
    # Two floats, scale and bias, for each group.
    return elements * packing.bits // 8 + elements // packing.group_size * 2 * float_bytes


def _entries(directory: Path) -> dict[str, TensorEntry]:
    """The drafter's own tensors, by name below no prefix."""
    files = sorted(directory.glob("*.safetensors"))
    if not files:
        raise CheckpointError(
            f"{directory} has no safetensors: it is no drafter, or its download is incomplete."
        )
    entries = {
        name.removeprefix("model."): entry
        for file in files
        for name, entry in read_header(file).entries.items()
    }
    wrong = next((name for name, entry in entries.items() if entry.type not in FLOAT_TYPES), None)
    if wrong is not None:
        raise CheckpointError(f"The drafter's tensor {wrong[:120]} is not of floats.")
    return {name: entry for name, entry in entries.items() if name not in _TARGETS}
