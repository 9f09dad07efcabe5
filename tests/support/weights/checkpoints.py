"""Small random checkpoints of Qwen3-Next and its successors as Hugging Face directories: config.json,
safetensors, nothing of ours."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

TINY: dict[str, Any] = {
    "architectures": ["Qwen3NextForCausalLM"],
    "model_type": "qwen3_next",
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "full_attention_interval": 4,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "partial_rotary_factor": 0.25,
    "rope_theta": 5000000,
    "rope_scaling": None,
    "max_position_embeddings": 4096,
    "attention_bias": False,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "linear_conv_kernel_dim": 4,
    "num_experts": 8,
    "num_experts_per_tok": 3,
    "norm_topk_prob": True,
    "moe_intermediate_size": 64,
    "shared_expert_intermediate_size": 64,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "rms_norm_eps": 1e-06,
    "hidden_act": "silu",
    "vocab_size": 256,
    "tie_word_embeddings": False,
    "bos_token_id": None,
    "eos_token_id": 0,
    "torch_dtype": "float32",
}


ROTARY = {
    "rope_type": "default",
    "rope_theta": 10000000,
    "partial_rotary_factor": 0.25,
    "mrope_interleaved": True,
    "mrope_section": [2, 1, 1],
}
SPARSE_3_5: dict[str, Any] = {"model_type": "qwen3_5_moe_text", "rope_parameters": ROTARY}
"""Overrides that make the tiny config one of Qwen3.5's text models."""
DENSE_3_5: dict[str, Any] = {"model_type": "qwen3_5_text", "rope_parameters": ROTARY, "num_experts": 0}


def tiny_config(**overrides: Any) -> dict[str, Any]:
    """config.json of a model small enough for a test; `overrides` replace single fields."""
    return {**TINY, **overrides}


def in_vision_wrapper(config: dict[str, Any]) -> dict[str, Any]:
    """A text model's config.json as published: within that of a vision-language model."""
    wrapper = config["model_type"].removesuffix("_text")
    return {
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "model_type": wrapper,
        "image_token_id": 250,
        "text_config": config,
        "tie_word_embeddings": config["tie_word_embeddings"],
        "vision_config": {"model_type": wrapper, "depth": 1, "hidden_size": 8},
    }


def random_tensors(config: dict[str, Any], seed: int = 0, *, mtp: bool = False) -> dict[str, np.ndarray]:
    """float32 tensors under their Hugging Face names: one per expert, qkvz and ba interleaved (qkv, z, b and a
    apart in Qwen3.5), norms as offsets.

    Sizes keep activations near one, decays are spread between forgetting at once and hardly at all, and norms
    differ from one: so that a mistake in any of them shows in the logits.
    """
    random = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {}

    def matrix(name: str, *shape: int) -> None:
        scale = shape[-1] ** -0.5
        tensors[name] = (random.standard_normal(shape) * scale).astype(np.float32)

    def norm(name: str, size: int, center: float = 0.0) -> None:
        tensors[name] = (center + 0.2 * random.standard_normal(size)).astype(np.float32)

    hidden, vocab = config["hidden_size"], config["vocab_size"]
    tensors["model.embed_tokens.weight"] = random.standard_normal((vocab, hidden)).astype(np.float32)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        if _is_linear(config, layer):
            _delta_net(config, prefix + "linear_attn.", matrix, norm, tensors, random)
        else:
            _attention(config, prefix + "self_attn.", matrix, norm, tensors, random)
        sparse = layer not in config["mlp_only_layers"] and (layer + 1) % config["decoder_sparse_step"] == 0
        _feed_forward(config, prefix, matrix, norm, sparse)
    norm("model.norm.weight", hidden)
    if not config["tie_word_embeddings"]:
        matrix("lm_head.weight", vocab, hidden)
    if mtp:
        matrix("mtp.fc.weight", hidden, 2 * hidden)
        for name in ("pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"):
            norm(f"mtp.{name}.weight", hidden)
        _attention(config, "mtp.layers.0.self_attn.", matrix, norm, tensors, random)
        _feed_forward(config, "mtp.layers.0.", matrix, norm, True)
    return tensors


def write_checkpoint(
    directory: Path,
    *,
    seed: int = 0,
    mtp: bool = False,
    dtype: mx.Dtype = mx.float32,
    shards: int = 1,
    **overrides: Any,
) -> Path:
    """A checkpoint directory (no tokenizer) and its path; `overrides` replace fields of the tiny config."""
    config = tiny_config(**overrides)
    write_tensors(directory, random_tensors(config, seed, mtp=mtp), dtype=dtype, shards=shards)
    config["torch_dtype"] = str(dtype).removeprefix("mlx.core.")
    (directory / "config.json").write_text(json.dumps(config, indent=1))
    return directory


def write_tensors(
    directory: Path, tensors: dict[str, np.ndarray], *, dtype: mx.Dtype = mx.float32, shards: int = 1
) -> None:
    """safetensors files as the Hub has them: one, or several with an index."""
    directory.mkdir(parents=True, exist_ok=True)
    names = list(tensors)
    parts = [names[index::shards] for index in range(shards)]
    weight_map: dict[str, str] = {}
    for index, part in enumerate(parts, 1):
        file = f"model-{index:05d}-of-{shards:05d}.safetensors" if shards > 1 else "model.safetensors"
        arrays = {name: mx.array(tensors[name]).astype(dtype) for name in part}
        mx.save_safetensors(str(directory / file), arrays, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    if shards > 1:
        size = sum(tensor.size for tensor in tensors.values()) * dtype.size
        index_file = directory / "model.safetensors.index.json"
        index_file.write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": weight_map}))


def _is_linear(config: dict[str, Any], layer: int) -> bool:
    types = config.get("layer_types")
    if types:
        return bool(types[layer] == "linear_attention")
    return bool((layer + 1) % config["full_attention_interval"])


def _delta_net(config, prefix, matrix, norm, tensors, random) -> None:  # noqa: PLR0917  # type: ignore[no-untyped-def]
    hidden = config["hidden_size"]
    key_heads, value_heads = config["linear_num_key_heads"], config["linear_num_value_heads"]
    keys = key_heads * config["linear_key_head_dim"]
    values = value_heads * config["linear_value_head_dim"]
    if config["model_type"] == "qwen3_next":
        parts = {"qkvz": 2 * keys + 2 * values, "ba": 2 * value_heads}
    else:
        parts = {"qkv": 2 * keys + values, "z": values, "b": value_heads, "a": value_heads}
    for part, rows in parts.items():
        matrix(f"{prefix}in_proj_{part}.weight", rows, hidden)
    matrix(prefix + "conv1d.weight", 2 * keys + values, 1, config["linear_conv_kernel_dim"])
    tensors[prefix + "A_log"] = np.log(random.uniform(0.01, 16, value_heads)).astype(np.float32)
    tensors[prefix + "dt_bias"] = (2 * random.standard_normal(value_heads) - 4).astype(np.float32)
    norm(prefix + "norm.weight", config["linear_value_head_dim"], 1.0)
    matrix(prefix + "out_proj.weight", hidden, values)


def _attention(config, prefix, matrix, norm, tensors, random) -> None:  # noqa: PLR0917  # type: ignore[no-untyped-def]
    hidden, dim = config["hidden_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * dim, config["num_key_value_heads"] * dim
    shapes = {
        "q_proj": (2 * queries, hidden),
        "k_proj": (keys, hidden),
        "v_proj": (keys, hidden),
        "o_proj": (hidden, queries),
    }
    for name, shape in shapes.items():
        matrix(f"{prefix}{name}.weight", *shape)
        if config["attention_bias"]:
            tensors[f"{prefix}{name}.bias"] = (0.1 * random.standard_normal(shape[0])).astype(np.float32)
    norm(prefix + "q_norm.weight", dim)
    norm(prefix + "k_norm.weight", dim)


def _feed_forward(config, prefix, matrix, norm, sparse) -> None:  # type: ignore[no-untyped-def]
    hidden = config["hidden_size"]
    norm(prefix + "input_layernorm.weight", hidden)
    norm(prefix + "post_attention_layernorm.weight", hidden)

    def gated(name: str, size: int) -> None:
        matrix(f"{prefix}{name}.gate_proj.weight", size, hidden)
        matrix(f"{prefix}{name}.up_proj.weight", size, hidden)
        matrix(f"{prefix}{name}.down_proj.weight", hidden, size)

    if not sparse or not config["num_experts"]:
        gated("mlp", config["intermediate_size"])
        return
    matrix(prefix + "mlp.gate.weight", config["num_experts"], hidden)
    for expert in range(config["num_experts"]):
        gated(f"mlp.experts.{expert}", config["moe_intermediate_size"])
    gated("mlp.shared_expert", config["shared_expert_intermediate_size"])
    matrix(prefix + "mlp.shared_expert_gate.weight", 1, hidden)
