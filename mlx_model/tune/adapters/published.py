"""The adapter as mlx-lm writes and reads it: adapters.safetensors and adapter_config.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_model.errors import CheckpointError
from mlx_model.tune.adapters.matrices import AdaptedModel

_WRAPPED = "language_model."
"""What mlx-lm's names begin with where the model is the text part of a vision-language model."""


def published(adapted: AdaptedModel, tensors: Mapping[str, mx.array]) -> dict[str, mx.array]:
    """The tensors under mlx-lm's names, in its order of rows and of axes."""
    prefix = "" if adapted.model.config.interleaved else _WRAPPED
    found: dict[str, mx.array] = {}
    for source in (source for site in adapted.sites for source in site.sources):
        stored = None if source.order is None else mx.array(np.argsort(source.order).astype(np.uint32))
        for kind in ("lora_a", "lora_b", "m"):
            tensor = tensors.get(f"{source.module}.{kind}")
            if tensor is None:
                continue
            if stored is not None and kind != "lora_a":
                tensor = mx.take(tensor, stored, axis=-1)
            if len(source.shape) == 3 and kind != "m":
                # For a bank, mlx-lm stores both the other way round.
                tensor = tensor.swapaxes(-1, -2)
            found[f"{prefix}{source.module}.{kind}"] = mx.contiguous(tensor)
    return found


def write_adapter(
    adapted: AdaptedModel, tensors: Mapping[str, mx.array], directory: Path, told: Mapping[str, Any]
) -> None:
    """Writes both files into `directory`, which must exist; `told` is kept in the configuration under
    `tidegate`. Raises CheckpointError."""
    shape = adapted.shape
    keys = {
        source.module.removeprefix(f"model.layers.{site.layer}.")
        for site in adapted.sites
        for source in site.sources
    }
    settings = {
        "fine_tune_type": str(shape.kind),
        "num_layers": adapted.model.config.num_hidden_layers - adapted.first,
        "lora_parameters": {"rank": shape.rank, "scale": shape.scale, "dropout": 0.0, "keys": sorted(keys)},
        "tidegate": dict(told),
    }
    try:
        file = directory / "adapters.safetensors"
        mx.save_safetensors(str(file), published(adapted, tensors), {"format": "mlx"})
        text = json.dumps(settings, indent=2, ensure_ascii=False)
        (directory / "adapter_config.json").write_text(text + "\n", encoding="utf-8")
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{directory} cannot be written: {error}.") from None
