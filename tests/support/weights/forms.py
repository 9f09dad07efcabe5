"""One model in the forms its checkpoint can have: made from the Hugging Face tensors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from tests.support.weights.checkpoints import in_vision_wrapper

OFFSET_NORMS = (
    "input_layernorm.weight",
    "post_attention_layernorm.weight",
    "q_norm.weight",
    "k_norm.weight",
    "model.norm.weight",
    "mtp.norm.weight",
    "pre_fc_norm_embedding.weight",
    "pre_fc_norm_hidden.weight",
)

Tensors = dict[str, np.ndarray]


def packed(config: Mapping[str, Any], tensors: Tensors) -> Tensors:
    """As newer transformers writes it: `experts.gate_up_proj` [E, 2I, H] and `experts.down_proj` [E, H, I]."""
    result = {name: tensor for name, tensor in tensors.items() if ".experts." not in name}
    for mlp in _banks(tensors):
        gate, up, down = (_stack(config, tensors, mlp, part) for part in ("gate", "up", "down"))
        result[f"{mlp}.experts.gate_up_proj"] = np.concatenate([gate, up], axis=1)
        result[f"{mlp}.experts.down_proj"] = down
    return result


def stacked(config: Mapping[str, Any], tensors: Tensors, *, shift: bool = True, turn: bool = True) -> Tensors:
    """As mlx-lm converts it: `switch_mlp`, norms with their one, the convolution's last two axes exchanged.
    `shift` and `turn` leave those steps out, as careless conversions do."""
    result = {name: tensor for name, tensor in tensors.items() if ".experts." not in name}
    for mlp in _banks(tensors):
        for part in ("gate", "up", "down"):
            result[f"{mlp}.switch_mlp.{part}_proj.weight"] = _stack(config, tensors, mlp, part)
    for name, tensor in result.items():
        if shift and name.endswith(OFFSET_NORMS):
            result[name] = tensor + 1
        if turn and name.endswith("conv1d.weight"):
            result[name] = np.moveaxis(tensor, 2, 1)
    return result


def wrapped(tensors: Tensors, *, by_mlx: bool = False) -> Tensors:
    """Under the names of a vision-language checkpoint, with tensors of a vision encoder: as transformers writes
    them, or as MLX conversions do."""
    inside = "language_model.model." if by_mlx else "model.language_model."
    encoder = "vision_tower" if by_mlx else "model.visual"
    result: Tensors = {
        f"{encoder}.blocks.0.attn.qkv.weight": np.ones((24, 64), np.float32),
        f"{encoder}.merger.norm.bias": np.ones(8, np.float32),
    }
    for name, tensor in tensors.items():
        if name.startswith("model."):
            result[inside + name.removeprefix("model.")] = tensor
        else:
            result[f"language_model.{name}" if by_mlx else name] = tensor
    return result


def write(directory: Path, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray | mx.array]) -> Path:
    """A directory of one file."""
    directory.mkdir(parents=True)
    arrays = {
        name: tensor if isinstance(tensor, mx.array) else mx.array(tensor) for name, tensor in tensors.items()
    }
    mx.save_safetensors(str(directory / "model.safetensors"), arrays, metadata={"format": "mlx"})
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def published(directory: Path, config: dict[str, Any], tensors: Tensors) -> Path:
    """A directory in the form in which Qwen3.5 is published: packed experts, within a vision-language model."""
    return write(directory, in_vision_wrapper(config), wrapped(packed(config, tensors)))


def quantized(
    tensors: Tensors,
    default: dict[str, Any],
    modules: Mapping[str, dict[str, Any] | bool] | None = None,
    dtype: mx.Dtype = mx.float32,
) -> tuple[dict[str, mx.array], dict[str, Any]]:
    """Every matrix of a stacked checkpoint packed as `default`, or as `modules` says for paths that end so
    (False: not at all), scales and biases in `dtype`; and its `quantization` block."""
    block: dict[str, Any] = dict(default)
    result: dict[str, mx.array] = {}
    for name, tensor in tensors.items():
        path = name.removesuffix(".weight")
        setting: Any = default
        for suffix, own in (modules or {}).items():
            if path.endswith(suffix):
                setting = own
        if tensor.ndim < 2 or "conv1d" in name or setting is False:
            result[name] = mx.array(tensor)
            if tensor.ndim >= 2 and "conv1d" not in name:
                block[path] = False
            continue
        if setting is not default:
            block[path] = setting
        packing = mx.quantize(mx.array(tensor).astype(dtype), **setting)
        result |= {
            f"{path}.{kind}": array
            for kind, array in zip(("weight", "scales", "biases"), packing, strict=False)
        }
    return result, block


def _banks(tensors: Tensors) -> list[str]:
    return sorted({name.split(".experts.")[0] for name in tensors if ".experts." in name})


def _stack(config: Mapping[str, Any], tensors: Tensors, mlp: str, part: str) -> np.ndarray:
    return np.stack([tensors[f"{mlp}.experts.{e}.{part}_proj.weight"] for e in range(config["num_experts"])])
