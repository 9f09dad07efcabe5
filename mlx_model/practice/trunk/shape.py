"""The practice model's sizes, as config.json spells them."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a Qwen3-Next; the field names are config.json's. Raises ValueError for what the network cannot
    be."""

    vocab_size: int = 1536
    hidden_size: int = 256
    num_hidden_layers: int = 6
    full_attention_interval: int = 3
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    partial_rotary_factor: float = 0.5
    rope_theta: float = 10000.0
    linear_num_key_heads: int = 4
    linear_num_value_heads: int = 4
    linear_key_head_dim: int = 64
    linear_value_head_dim: int = 64
    linear_conv_kernel_dim: int = 4
    num_experts: int = 8
    num_experts_per_tok: int = 2
    moe_intermediate_size: int = 128
    shared_expert_intermediate_size: int = 256
    rms_norm_eps: float = 1e-6
    max_position_embeddings: int = 8192

    def __post_init__(self) -> None:
        if (self.linear_num_key_heads, self.linear_key_head_dim) != (
            self.linear_num_value_heads,
            self.linear_value_head_dim,
        ):
            raise ValueError(
                "The training network wants as many DeltaNet key heads as value heads, of one size."
            )

    @property
    def rotary_dim(self) -> int:
        """How many dimensions of a head are rotated."""
        return int(self.head_dim * self.partial_rotary_factor)

    def is_full_attention(self, layer: int) -> bool:
        """Whether the layer is one of attention; the others are DeltaNet."""
        return (layer + 1) % self.full_attention_interval == 0

    def config(self, bos: int, eos: int, dtype: str) -> dict[str, Any]:
        """config.json in Hugging Face form."""
        return {
            "architectures": ["Qwen3NextForCausalLM"],
            "model_type": "qwen3_next",
            **asdict(self),
            "intermediate_size": self.shared_expert_intermediate_size,
            "rope_scaling": None,
            "attention_bias": False,
            "norm_topk_prob": True,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            "bos_token_id": bos,
            "eos_token_id": eos,
            "torch_dtype": dtype,
            "use_cache": True,
        }
