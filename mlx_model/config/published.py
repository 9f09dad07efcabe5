"""The published shape of Qwen3-Coder-Next (its config.json on Hugging Face), for estimates without a
checkpoint."""

from mlx_model.config.model_config import ModelConfig

NAME = "Qwen3-Coder-Next"


def published_config() -> ModelConfig:
    """Its config, with the fields that sizes depend on."""
    return ModelConfig.from_dict(
        {
            "model_type": "qwen3_next",
            "vocab_size": 151_936,
            "hidden_size": 2048,
            "num_hidden_layers": 48,
            "full_attention_interval": 4,
            "intermediate_size": 5120,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "head_dim": 256,
            "partial_rotary_factor": 0.25,
            "rope_theta": 5_000_000,
            "max_position_embeddings": 262_144,
            "linear_num_key_heads": 16,
            "linear_num_value_heads": 32,
            "linear_key_head_dim": 128,
            "linear_value_head_dim": 128,
            "linear_conv_kernel_dim": 4,
            "num_experts": 512,
            "num_experts_per_tok": 10,
            "moe_intermediate_size": 512,
            "shared_expert_intermediate_size": 512,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
        }
    )
