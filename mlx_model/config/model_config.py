"""config.json of a model of Qwen3-Next's family (see `family`), read and checked once.

All other modules rely on a ModelConfig: sizes are positive and bounded, head counts divide, every layer has a
type, and both spellings of the rotary settings (top-level fields, or `rope_parameters`) are read.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mlx_model.config.family import ARCHITECTURES, MTP_ALONE, text_fields
from mlx_model.config.spelling import one_spelling
from mlx_model.errors import ConfigError

FUSED_LAYOUT = 2
"""The version of our layout that `convert` writes. Version 1, with stacked experts, is still read."""
CONFIG_BYTES_LIMIT = 16 << 20
"""Bytes of a JSON file that are read at most. The largest, an index with one tensor per expert, has about 8
MB."""

LayerType = Literal["linear_attention", "full_attention"]
QuantizationMode = Literal["affine", "mxfp4", "nvfp4", "mxfp8"]
FloatType = Literal["bfloat16", "float16", "float32"]

Size = Annotated[int, Field(gt=0, le=1 << 24)]
SizeOrNone = Annotated[int, Field(ge=0, le=1 << 24)]
"""0 where no layer is of the kind that has it."""
Layers = Annotated[int, Field(gt=0, le=4096)]
Heads = Annotated[int, Field(gt=0, le=65536)]
Experts = Annotated[int, Field(ge=0, le=65536)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]

# What MLX's kernels take: bits and group sizes by mode.
_MODES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "affine": ((1, 2, 3, 4, 5, 6, 8), (32, 64, 128)),
    "mxfp4": ((4,), (32,)),
    "nvfp4": ((4,), (16,)),
    "mxfp8": ((8,), (32,)),
}
_MODE_DEFAULTS = {"affine": (4, 64), "mxfp4": (4, 32), "nvfp4": (4, 16), "mxfp8": (8, 32)}


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class Quantization(_Value):
    """The packing of a matrix: bits per weight, weights per group, and MLX's quantization mode."""

    bits: int
    group_size: int
    mode: QuantizationMode = "affine"

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            mode = "affine" if data.get("mode") is None else data["mode"]
            bits, group_size = _MODE_DEFAULTS.get(mode, (None, None)) if isinstance(mode, str) else (None, None)
            given = {key: data[key] for key in ("bits", "group_size") if data.get(key) is not None}
            return {"bits": bits, "group_size": group_size, **given, "mode": mode}
        return data

    @model_validator(mode="after")
    def _supported(self) -> "Quantization":
        bits, groups = _MODES[self.mode]
        if self.bits not in bits or self.group_size not in groups:
            raise ValueError(
                f"{self.mode} with {self.bits} bits and group size {self.group_size} is nothing MLX has"
            )
        return self


class YarnScaling(_Value):
    """YaRN (arXiv 2309.00071) as transformers spells it."""

    factor: Annotated[float, Field(ge=1, le=1024)]
    original_max_position_embeddings: Annotated[int, Field(gt=0, le=1 << 30)]
    beta_fast: PositiveFloat = 32.0
    beta_slow: PositiveFloat = 1.0
    attention_factor: PositiveFloat | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool = True


def _token_ids(value: Any) -> Any:
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(value) if isinstance(value, list) else value


def _tuple(value: Any) -> Any:
    return () if value is None else tuple(value) if isinstance(value, list) else value


def _default_true(value: Any) -> Any:
    return True if value is None else value


class ModelConfig(_Value):
    """The shape of a model; field names are those of config.json. Counts are elements, not bytes."""

    vocab_size: Size
    hidden_size: Size
    intermediate_size: SizeOrNone = 0
    num_hidden_layers: Layers
    layer_types: Annotated[tuple[LayerType, ...], BeforeValidator(_tuple)]

    num_attention_heads: Heads
    num_key_value_heads: Heads
    head_dim: Size
    attention_bias: bool = False
    rope_theta: PositiveFloat
    partial_rotary_factor: Annotated[float, Field(gt=0, le=1)] = 0.25
    yarn: YarnScaling | None = None
    max_position_embeddings: Annotated[int, Field(gt=0, le=1 << 30)]

    linear_num_key_heads: Heads
    linear_num_value_heads: Heads
    linear_key_head_dim: Size
    linear_value_head_dim: Size
    linear_conv_kernel_dim: Annotated[int, Field(ge=2, le=64)]
    interleaved: bool = True
    """Whether DeltaNet's input projection is stored as two matrices interleaved by key head (Qwen3-Next) or as
    four (Qwen3.5)."""

    num_experts: Experts
    num_experts_per_tok: Experts = 0
    norm_topk_prob: Annotated[bool, BeforeValidator(_default_true)] = True
    moe_intermediate_size: SizeOrNone = 0
    shared_expert_intermediate_size: SizeOrNone = 0
    decoder_sparse_step: Annotated[int, Field(gt=0, le=4096)] = 1
    mlp_only_layers: Annotated[tuple[int, ...], BeforeValidator(_tuple)] = ()

    rms_norm_eps: PositiveFloat = 1e-6
    tie_word_embeddings: bool = False
    eos_token_id: Annotated[tuple[int, ...], BeforeValidator(_token_ids)] = ()
    dtype: FloatType = "bfloat16"

    quantization: Quantization | None = None
    """The packing of modules that `module_quantization` does not name."""
    module_quantization: dict[str, Quantization | None] = Field(default_factory=dict)
    """By module path as the checkpoint spells it; None: that module is not quantized."""
    fused_layout: int | None = None
    """The version of our layout, where `convert` wrote the directory."""
    mtp_rope_theta: PositiveFloat | None = None
    """The rotary base that the MTP layer was trained with, where it differs from the model's."""
    mtp_source: str | None = None
    """The checkpoint that the MTP layer was grafted from; None: it is the model's own, or there is none."""
    mtp_trained: bool = False
    """Whether `train-mtp` wrote the MTP layer: then its norms are weights, not offsets, whatever form the rest
    has."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ModelConfig":
        """The checked config. Raises ConfigError naming the field."""
        for name in (architecture_name(data), architecture_name(text_fields(data))):
            if name not in ARCHITECTURES | {MTP_ALONE}:
                raise ConfigError(f"config.json: model_type is {name!r}, which this engine does not know.")
        try:
            return cls.model_validate(one_spelling(text_fields(data)))
        except ValidationError as error:
            raise _config_error(error) from None

    @classmethod
    def from_directory(cls, directory: Path) -> "ModelConfig":
        """The config of a checkpoint directory. Raises ConfigError."""
        return cls.from_dict(read_model_config(directory))

    @model_validator(mode="after")
    def _consistent(self) -> "ModelConfig":
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads ({self.num_attention_heads}) is no multiple of "
                f"num_key_value_heads ({self.num_key_value_heads})"
            )
        if self.linear_num_value_heads % self.linear_num_key_heads:
            raise ValueError(
                f"linear_num_value_heads ({self.linear_num_value_heads}) is no multiple of "
                f"linear_num_key_heads ({self.linear_num_key_heads})"
            )
        if self.num_experts and not 0 < self.num_experts_per_tok <= self.num_experts:
            raise ValueError(
                f"num_experts_per_tok ({self.num_experts_per_tok}) must lie between 1 and "
                f"num_experts ({self.num_experts})"
            )
        is_dense = not all(map(self.is_sparse, range(self.num_hidden_layers)))
        needed = ["intermediate_size"] if is_dense else []
        if self.num_experts:
            needed += ["moe_intermediate_size", "shared_expert_intermediate_size"]
        for field in needed:
            if not getattr(self, field):
                raise ValueError(f"{field} is missing or 0")
        if self.rotary_dim < 2 or self.rotary_dim % 2:
            raise ValueError(
                f"partial_rotary_factor ({self.partial_rotary_factor}) of head_dim ({self.head_dim}) gives "
                f"{self.rotary_dim} rotary dimensions; it must be an even number"
            )
        if len(self.layer_types) != self.num_hidden_layers:
            raise ValueError(
                f"layer_types names {len(self.layer_types)} layers, "
                f"num_hidden_layers says {self.num_hidden_layers}"
            )
        if self.fused_layout not in (None, 1, FUSED_LAYOUT):
            raise ValueError(
                f"tidegate.layout is {self.fused_layout}, this version reads {FUSED_LAYOUT}: "
                "convert the checkpoint again"
            )
        return self

    # Derived sizes.

    @property
    def rotary_dim(self) -> int:
        """Leading dimensions of each head that are rotated."""
        return int(self.head_dim * self.partial_rotary_factor)

    @property
    def context_length(self) -> int:
        """The most positions that the model supports, YaRN included."""
        if self.yarn is None:
            return self.max_position_embeddings
        return max(
            self.max_position_embeddings, int(self.yarn.factor * self.yarn.original_max_position_embeddings)
        )

    @property
    def linear_key_dim(self) -> int:
        """Hk * Dk: all key heads' dimensions of DeltaNet."""
        return self.linear_num_key_heads * self.linear_key_head_dim

    @property
    def linear_value_dim(self) -> int:
        """Hv * Dv: all value heads' dimensions of DeltaNet."""
        return self.linear_num_value_heads * self.linear_value_head_dim

    @property
    def conv_dim(self) -> int:
        """Channels of the short convolution: queries, keys and values."""
        return 2 * self.linear_key_dim + self.linear_value_dim

    @property
    def linear_in_parts(self) -> tuple[tuple[str, int], ...]:
        """The names and output rows of the matrices that DeltaNet's input projection is stored as: together
        q | k | v | z | b | a."""
        heads = self.linear_num_value_heads
        if self.interleaved:
            return ("qkvz", self.conv_dim + self.linear_value_dim), ("ba", 2 * heads)
        return ("qkv", self.conv_dim), ("z", self.linear_value_dim), ("b", heads), ("a", heads)

    def is_linear(self, layer: int) -> bool:
        """Whether a layer has Gated DeltaNet rather than attention."""
        return self.layer_types[layer] == "linear_attention"

    def is_sparse(self, layer: int) -> bool:
        """Whether a layer's feed-forward network is a mixture of experts."""
        return (
            self.num_experts > 0
            and layer not in self.mlp_only_layers
            and (layer + 1) % self.decoder_sparse_step == 0
        )


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file of bounded size. Raises ConfigError naming the file."""
    try:
        if path.stat().st_size > CONFIG_BYTES_LIMIT:
            raise ConfigError(
                f"{path} is larger than {CONFIG_BYTES_LIMIT >> 20} MiB: that is no configuration."
            )
        data = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{path.parent} has no {path.name}.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid JSON: {error}.") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds {type(data).__name__}, not a JSON object.")
    return data


def architecture_name(data: Mapping[str, Any]) -> str:
    """`model_type` of a config. Raises ConfigError where there is none."""
    name = data.get("model_type")
    if not isinstance(name, str) or not name:
        raise ConfigError("config.json: model_type is missing, so the architecture is unknown.")
    return name


def architecture(directory: Path) -> str:
    """The architecture of a checkpoint directory, from config.json alone. Raises ConfigError."""
    name = architecture_name(read_model_config(directory))
    if name == MTP_ALONE:
        raise ConfigError(
            f"{directory} holds an MTP layer without its model: add it to the model's checkpoint with "
            "convert --graft-mtp."
        )
    return name


def read_model_config(directory: Path) -> dict[str, Any]:
    """config.json of a checkpoint directory, unchecked. Raises ConfigError."""
    if not directory.is_dir():
        raise ConfigError(f"{directory} is not a model directory: there is no such directory.")
    if not (directory / "config.json").exists():
        raise ConfigError(f"{directory} has no config.json: it is not a model directory.")
    return read_json_object(directory / "config.json")


def _config_error(error: ValidationError) -> ConfigError:
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return ConfigError(f"config.json: {field} is missing.")
    reason = first["msg"].removeprefix("Value error, ")
    if not field:
        return ConfigError(f"config.json: {reason}.")
    given = repr(first.get("input"))
    return ConfigError(f"config.json: {field} is {given[:60]}: {reason}.")
