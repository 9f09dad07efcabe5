"""Random DFlash drafters as published: config.json and model.safetensors."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

DRAFTER: dict[str, Any] = {
    "architectures": ["DFlashDraftModel"],
    "auto_map": {"AutoModel": "dflash.DFlashDraftModel"},
    "attention_bias": False,
    "block_size": 6,
    "dflash_config": {"mask_token_id": 255, "target_layer_ids": [0, 2]},
    "dtype": "float32",
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 96,
    "layer_types": ["full_attention", "full_attention"],
    "max_position_embeddings": 4096,
    "model_type": "qwen3",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_target_layers": 4,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 10000000,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "vocab_size": 256,
}
"""The fields of the published drafters for Qwen3, at the size of the tiny model."""


def write_drafter(directory: Path, seed: int = 0, **overrides: Any) -> Path:
    """Writes a random drafter; `overrides` replace single fields of its config."""
    config = {**DRAFTER, **overrides}
    draw = np.random.default_rng(seed)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head_dim = config["head_dim"]
    queries, keys = config["num_attention_heads"] * head_dim, config["num_key_value_heads"] * head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "fc": (hidden, len(config["dflash_config"]["target_layer_ids"]) * hidden),
        "hidden_norm": (hidden,),
        "norm": (hidden,),
    }
    for index in range(config["num_hidden_layers"]):
        shapes |= {
            f"layers.{index}.{name}": shape
            for name, shape in {
                "input_layernorm": (hidden,),
                "post_attention_layernorm": (hidden,),
                "self_attn.q_proj": (queries, hidden),
                "self_attn.k_proj": (keys, hidden),
                "self_attn.v_proj": (keys, hidden),
                "self_attn.o_proj": (hidden, queries),
                "self_attn.q_norm": (head_dim,),
                "self_attn.k_norm": (head_dim,),
                "mlp.gate_proj": (inner, hidden),
                "mlp.up_proj": (inner, hidden),
                "mlp.down_proj": (hidden, inner),
            }.items()
        }
    tensors = {
        f"{name}.weight": mx.array(
            (
                draw.standard_normal(shape) * (shape[-1] ** -0.5 if len(shape) > 1 else 0.1) + (len(shape) == 1)
            ).astype(np.float32)
        )
        for name, shape in shapes.items()
    }
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config))
    mx.save_safetensors(str(directory / "model.safetensors"), tensors)
    return directory
