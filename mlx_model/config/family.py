"""The architectures that this engine runs itself, and the text model within a vision-language checkpoint.

Qwen3-Next's mathematics is also that of Qwen3.5, 3.6 and 3.8 (`qwen3_5`, dense; `qwen3_5_moe`, sparse), which
are published as vision-language models: the text model's fields are in `text_config`, its tensors under
`model.language_model` as transformers writes them or `language_model` as MLX conversions do, beside those of a
vision encoder, which this engine leaves out.
"""

from collections.abc import Mapping
from typing import Any

from mlx_model.errors import ConfigError

INTERLEAVED = frozenset({"qwen3_next"})
"""Architectures that store DeltaNet's input projection as two matrices, interleaved by key head."""
DENSE = frozenset({"qwen3_5", "qwen3_5_text"})
"""Architectures without experts, whose config.json does not mention any."""
ARCHITECTURES = INTERLEAVED | DENSE | {"qwen3_5_moe", "qwen3_5_moe_text"}
"""The values of `model_type` that this engine runs itself. mlx-lm runs others."""

MTP_ALONE = "qwen3_5_mtp"
"""The `model_type` of a directory that holds an MTP layer without its model, to be grafted."""

_OUTER = ("quantization", "quantization_config", "tidegate", "tie_word_embeddings", "dtype", "torch_dtype")
"""Fields beside `text_config` that concern the text model."""
_BY_MLX = (
    ("language_model.model.", "model."),
    ("language_model.lm_head.", "lm_head."),
    ("language_model.mtp.", "mtp."),
    *(
        (name, f"mtp.{name}")
        for name in ("fc.", "layers.", "norm.", "pre_fc_norm_embedding.", "pre_fc_norm_hidden.")
    ),
)
"""Prefixes of tensors in MLX conversions, of a text model or of an MTP layer alone, and the plain ones."""
_RENAMED = (("model.language_model.", "model."), *_BY_MLX)
_VISION = ("model.visual.", "visual.", "vision_tower.", "model.vision_tower.")


def text_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of config.json of the text model, all at the top. Raises ConfigError."""
    text = data.get("text_config")
    if text is None:
        return dict(data)
    if not isinstance(text, dict):
        raise ConfigError("config.json: text_config must be an object.")
    outer = {name: data[name] for name in _OUTER if data.get(name) is not None}
    return {"model_type": data.get("model_type"), **text, **outer}


def text_name(name: str) -> str | None:
    """A tensor's name or a module's path as in a checkpoint of text alone; None where it belongs to the vision
    encoder."""
    if name.startswith(_VISION):
        return None
    for prefix, plain in _RENAMED:
        if name.startswith(prefix):
            return plain + name.removeprefix(prefix)
    return name


def is_mtp_name(name: str) -> bool:
    """Whether a stored tensor, or a module, belongs to the MTP layer."""
    return (text_name(name) or "").startswith("mtp.")


def is_converted(name: str) -> bool:
    """Whether a stored tensor has a name that only MLX conversions give."""
    return ".switch_mlp." in name or name.startswith(tuple(prefix for prefix, _ in _BY_MLX))
