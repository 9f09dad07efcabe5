"""The shapes of the models that the catalogue offers, from their published config.json."""

from typing import Any

from mlx_model.config.model_config import ModelConfig
from mlx_model.config.published import published_config

_COMMON: dict[str, Any] = {
    "vocab_size": 248_320,
    "head_dim": 256,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000_000, "partial_rotary_factor": 0.25},
    "max_position_embeddings": 262_144,
    "full_attention_interval": 4,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
    "dtype": "bfloat16",
}
_SIBLINGS: dict[str, dict[str, Any]] = {
    "Qwen3.6-35B-A3B": {
        "model_type": "qwen3_5_moe_text",
        "hidden_size": 2048,
        "num_hidden_layers": 40,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "num_experts": 256,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512,
    },
    "Qwen3.8-27B": {
        "model_type": "qwen3_5_text",
        "hidden_size": 5120,
        "intermediate_size": 17_408,
        "num_hidden_layers": 64,
        "num_attention_heads": 24,
        "num_key_value_heads": 4,
        "linear_num_value_heads": 48,
    },
    "Qwen3.5-9B": {
        "model_type": "qwen3_5_text",
        "hidden_size": 4096,
        "intermediate_size": 12_288,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
    },
    "Qwen3.5-4B": {
        "model_type": "qwen3_5_text",
        "hidden_size": 2560,
        "intermediate_size": 9216,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "tie_word_embeddings": True,
    },
}


def published_shape(name: str) -> ModelConfig:
    """The text model's config by its name in the catalogue, with the fields that sizes depend on."""
    return published_config() if name == "Coder-Next" else ModelConfig.from_dict(_COMMON | _SIBLINGS[name])
