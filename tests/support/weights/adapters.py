"""Adapters with random values, as mlx-lm would write them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import load_model

Kind = Literal["lora", "dora"]
OF_DORA = ("lora_a", "lora_b", "m")
NO_EXPERTS = [
    "self_attn.q_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "linear_attn.in_proj_qkvz",
    "linear_attn.out_proj",
    "mlp.shared_expert.up_proj",
]
"""Modules that mlx-lm takes DoRA of: not banks of experts."""


def write_adapter(
    directory: Path,
    checkpoint: Path,
    keys: list[str] | None,
    layers: int = 4,
    *,
    kind: Kind = "lora",
    seed: int = 0,
    **fields: Any,
) -> Path:
    """An adapter with random values in all its matrices, over the modules that mlx-lm itself would train."""
    model, _ = load_model(checkpoint)
    parameters = {"rank": 3, "scale": 4.0, "dropout": 0.0, **({"keys": keys} if keys else {})}
    linear_to_lora_layers(model, layers, dict(parameters), use_dora=kind == "dora")
    random = np.random.default_rng(seed)

    def value(name: str, tensor: mx.array) -> mx.array:
        drawn = np.float32(np.asarray(random.standard_normal(tensor.shape)))
        return mx.array(np.abs(drawn) + 1) if name == "m" else mx.array(0.1 * drawn)

    tensors = {
        name: value(name.rpartition(".")[2], tensor)
        for name, tensor in tree_flatten(model.parameters())
        if name.rpartition(".")[2] in OF_DORA
    }
    assert tensors
    directory.mkdir(parents=True)
    mx.save_safetensors(str(directory / "adapters.safetensors"), tensors)
    config = {"fine_tune_type": kind, "num_layers": layers, "lora_parameters": parameters, **fields}
    (directory / "adapter_config.json").write_text(json.dumps(config))
    return directory


def change_tensors(adapter: Path, change: Callable[[dict[str, mx.array]], None]) -> None:
    """Rewrites an adapter's tensors."""
    path = str(adapter / "adapters.safetensors")
    tensors = dict(mx.load(path))
    mx.eval(list(tensors.values()))
    change(tensors)
    mx.save_safetensors(path, tensors)
