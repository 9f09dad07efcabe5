"""Normalizing config.json: the fields of ModelConfig from either of transformers' spellings, and from ours."""

from collections.abc import Mapping
from typing import Any

from mlx_model.config.family import DENSE, INTERLEAVED, text_name
from mlx_model.errors import ConfigError

# Fields of ModelConfig that have another name or shape in config.json.
_DERIVED = frozenset(
    {
        "quantization",
        "module_quantization",
        "yarn",
        "interleaved",
        "fused_layout",
        "mtp_rope_theta",
        "mtp_source",
        "mtp_trained",
    }
)


def one_spelling(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ModelConfig from either spelling of the text model's fields, for pydantic to check. Raises
    ConfigError."""
    fields = {key: value for key, value in data.items() if key not in _DERIVED}
    if data.get("hidden_act", "silu") != "silu":
        raise ConfigError(f"config.json: hidden_act is {data['hidden_act']!r}; this architecture uses 'silu'.")
    if data.get("output_gate_type") not in (None, "silu", "swish"):
        gate = data["output_gate_type"]
        raise ConfigError(f"config.json: output_gate_type is {gate!r}; this architecture uses 'swish'.")
    if data.get("attn_output_gate") is False:
        raise ConfigError("config.json: attn_output_gate is false; this architecture gates attention's output.")
    fields["interleaved"] = data["model_type"] in INTERLEAVED
    if data["model_type"] in DENSE:
        fields.setdefault("num_experts", 0)
    fields["dtype"] = data.get("dtype") or data.get("torch_dtype") or "bfloat16"
    fields.update(_rotary_fields(data))
    fields["layer_types"] = data.get("layer_types") or _interval_layers(data)
    fields.update(_quantization_fields(data))
    fields.update(_own_fields(data))
    return fields


def _interval_layers(data: Mapping[str, Any]) -> list[str]:
    count, interval = data.get("num_hidden_layers"), data.get("full_attention_interval", 4)
    if not isinstance(interval, int) or isinstance(interval, bool) or interval < 1:
        raise ConfigError(f"config.json: full_attention_interval must be a positive integer, not {interval!r}.")
    # A count out of bounds is reported by the field's own check.
    if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= 4096:
        return []
    return ["full_attention" if (layer + 1) % interval == 0 else "linear_attention" for layer in range(count)]


def _rotary_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """rope_theta, partial_rotary_factor and yarn from `rope_parameters`, or from the older top-level fields."""
    parameters = data.get("rope_parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise ConfigError("config.json: rope_parameters must be an object.")
    scaling = data.get("rope_scaling")
    if scaling is not None and not isinstance(scaling, dict):
        raise ConfigError("config.json: rope_scaling must be an object or null.")
    merged = {**(scaling or {}), **(parameters or {})}

    fields: dict[str, Any] = {}
    for key in ("rope_theta", "partial_rotary_factor"):
        value = merged.get(key, data.get(key))
        if value is not None:
            fields[key] = value
    kind = merged.get("rope_type", merged.get("type", "default"))
    if kind == "yarn":
        values = {key: value for key, value in merged.items() if value is not None}
        values.setdefault("original_max_position_embeddings", data.get("max_position_embeddings"))
        fields["yarn"] = values
    elif kind not in (None, "default"):
        raise ConfigError(f"config.json: rope_type is {kind!r}; this engine knows 'default' and 'yarn'.")
    return fields


_FOREIGN = {
    "fp8": "FP8 (blocks of 8-bit floats)",
    "fbgemm_fp8": "FP8 (of FBGEMM)",
    "modelopt": "FP8 or FP4 of NVIDIA's ModelOpt",
    "awq": "AWQ",
    "gptq": "GPTQ",
    "auto-round": "AutoRound",
    "compressed-tensors": "compressed-tensors (of vLLM)",
    "bitsandbytes": "bitsandbytes",
}
"""Formats of other engines, by `quant_method` in lower case."""


def _quantization_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """The default and the per-module settings of a `quantization` block."""
    block = data.get("quantization")
    if block is None:
        block = data.get("quantization_config")
    if block is None:
        return {}
    if not isinstance(block, dict):
        raise ConfigError("config.json: quantization must be an object.")
    if "quant_method" in block or ("bits" not in block and "mode" not in block):
        method = str(block.get("quant_method", "unknown"))
        raise ConfigError(
            f"config.json: the weights are packed as {_FOREIGN.get(method.lower(), repr(method))}, which this "
            "engine cannot read. Fetch an MLX conversion of the model (on the Hub their names often end in "
            "-4bit, -8bit or MLX), or the bfloat16 original and pack that: "
            "python -m mlx_model convert --source DIRECTORY --out DIRECTORY --recipe q4"
        )
    default = {key: block[key] for key in ("bits", "group_size", "mode") if key in block}
    modules: dict[str, Any] = {}
    for stored_path, setting in block.items():
        path = text_name(stored_path)
        if path is None:
            continue
        if isinstance(setting, dict):
            modules[path] = setting
        elif setting is False:
            modules[path] = None
        elif setting is True:
            modules[path] = default
    return {"quantization": default, "module_quantization": modules}


def _own_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that `convert` and `train-mtp` write under `tidegate`."""
    block = data.get("tidegate")
    if block is None:
        return {}
    if not isinstance(block, dict):
        raise ConfigError("config.json: tidegate must be an object.")
    mtp = block.get("mtp") or {}
    if not isinstance(mtp, dict):
        raise ConfigError("config.json: tidegate.mtp must be an object.")
    return {
        "fused_layout": block.get("layout"),
        "mtp_rope_theta": mtp.get("rope_theta"),
        "mtp_source": mtp.get("source"),
        "mtp_trained": mtp.get("trained", False),
    }
