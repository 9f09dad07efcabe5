"""config.json of a published DFlash drafter, read and checked once (arXiv 2602.06036).

It is written for transformers' Qwen3 with a table of DFlash's own, `dflash_config`; some publish `block_size`
beside that table, some in it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mlx_model.config.model_config import Heads, Layers, ModelConfig, PositiveFloat, Size, read_json_object
from mlx_model.errors import ConfigError

ARCHITECTURE = "DFlashDraftModel"
_OF_DFLASH = ("block_size", "mask_token_id", "target_layer_ids")
"""What published configs have in `dflash_config`, or beside it."""
_UNKNOWN = ("attention_sink_bias", "attention_value_scale", "final_logit_softcapping", "conv_kernel_size")
"""Fields of `dflash_config` for other families of models, which change what the drafter computes."""
_DEFAULT_BLOCK = 16
"""Tokens of a block where the config names none, as in the reference implementation."""

LayerType = Literal["full_attention", "sliding_attention"]


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class DFlashConfig(BaseModel):
    """The shape of a drafter; field names are those of config.json."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)

    hidden_size: Size
    num_hidden_layers: Layers
    num_attention_heads: Heads
    num_key_value_heads: Heads
    head_dim: Size
    intermediate_size: Size
    rms_norm_eps: PositiveFloat = 1e-6
    rope_theta: PositiveFloat
    layer_types: Annotated[tuple[LayerType, ...], BeforeValidator(_tuple)]
    sliding_window: Annotated[int, Field(gt=0)] | None = None
    is_causal: bool | None = None
    """Whether a token of a block attends to later ones of it (False); None: only in layers with a window."""

    block_size: Annotated[int, Field(ge=2, le=256)] = _DEFAULT_BLOCK
    """Tokens of a block: the newest token, and those to be proposed after it."""
    mask_token_id: Annotated[int, Field(ge=0)]
    """The token that stands in a block where one is to be proposed."""
    target_layer_ids: Annotated[tuple[int, ...], BeforeValidator(_tuple), Field(min_length=1)]
    """The target's layers, from 0 on, whose outputs the drafter is given."""
    num_target_layers: int | None = None

    @classmethod
    def from_directory(cls, directory: Path) -> "DFlashConfig":
        """The checked config of a drafter's directory. Raises ConfigError."""
        return cls.parse(read_json_object(directory / "config.json"), directory)

    @classmethod
    def parse(cls, data: Mapping[str, Any], directory: Path) -> "DFlashConfig":
        """What config.json of `directory` holds, checked. Raises ConfigError."""
        name = next(iter(data.get("architectures") or ()), None)
        if name != ARCHITECTURE:
            raise ConfigError(
                f"{directory} is no DFlash drafter: its architecture is {name}, not {ARCHITECTURE}."
            )
        try:
            return cls.model_validate(_one_spelling(data))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "config.json"
            raise ConfigError(f"{directory}/config.json: {field}: {first['msg']}") from None

    @model_validator(mode="after")
    def _consistent(self) -> "DFlashConfig":
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError("num_attention_heads is no multiple of num_key_value_heads")
        if len(self.layer_types) != self.num_hidden_layers:
            raise ValueError("layer_types does not name num_hidden_layers layers")
        if "sliding_attention" in self.layer_types and self.sliding_window is None:
            raise ValueError("layers with sliding_attention need sliding_window")
        return self

    def check_target(self, target: ModelConfig) -> None:
        """Raises ConfigError where the drafter was not made for a model of this shape."""
        layers = target.num_hidden_layers
        for fits, what in (
            (self.hidden_size == target.hidden_size, f"hidden_size {self.hidden_size}"),
            (self.num_target_layers in (None, layers), f"num_target_layers {self.num_target_layers}"),
            (all(0 <= layer < layers for layer in self.target_layer_ids), "its target_layer_ids"),
            (self.mask_token_id < target.vocab_size, f"mask_token_id {self.mask_token_id}"),
        ):
            if not fits:
                raise ConfigError(
                    f"The drafter was made for another model: {what} does not fit one of {layers} layers, "
                    f"hidden_size {target.hidden_size} and {target.vocab_size} tokens."
                )

    def cache_bytes(self, float_bytes: int) -> int:
        """Bytes that the drafter keeps of one token: keys and values of its layers, and the vector they are
        made of."""
        heads = 2 * self.num_hidden_layers * self.num_key_value_heads * self.head_dim
        return (heads + self.hidden_size) * float_bytes


def _one_spelling(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a config in one place. Raises ConfigError for those that this engine does not compute."""
    own = data.get("dflash_config") or {}
    rope = data.get("rope_parameters") or data.get("rope_scaling") or {}
    if not isinstance(own, Mapping) or not isinstance(rope, Mapping):
        raise ConfigError("The drafter's config.json has a table of settings that is no table.")
    unknown = [name for name in _UNKNOWN if own.get(name)] + ["attention_bias"] * bool(
        data.get("attention_bias")
    )
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind != "default":
        unknown.append(f"rope_type {kind}")
    if data.get("partial_rotary_factor", 1.0) != 1.0:
        unknown.append("partial_rotary_factor")
    if unknown:
        raise ConfigError(
            f"The drafter's config.json asks for what this engine does not compute: {unknown[0]}."
        )
    fields = dict(data)
    fields.update({name: own[name] for name in _OF_DFLASH if name in own})
    fields.setdefault("rope_theta", rope.get("rope_theta"))
    fields["rope_theta"] = float(fields["rope_theta"] or 10_000.0)
    if not fields.get("layer_types"):
        fields["layer_types"] = ["full_attention"] * int(data.get("num_hidden_layers") or 0)
    return {name: value for name, value in fields.items() if value is not None}
