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


def write_adapter(
    adapted: AdaptedModel, tensors: Mapping[str, mx.array], directory: Path, told: Mapping[str, Any]
) -> None:
    """Writes both files into `directory`, which must exist; `told` is kept in the configuration under
    `tidegate`. Raises CheckpointError."""
    config, shape = adapted.model.config, adapted.shape
    prefix = "" if config.interleaved else _WRAPPED
    published: dict[str, mx.array] = {}
    keys = set()
    for site in adapted.sites:
        for source in site.sources:
            keys.add(source.module.removeprefix(f"model.layers.{site.layer}."))
            a, b = tensors[f"{source.module}.lora_a"], tensors[f"{source.module}.lora_b"]
            stored = None if source.order is None else mx.array(np.argsort(source.order).astype(np.uint32))
            if stored is not None:
                b = mx.take(b, stored, axis=-1)
            if len(source.shape) == 3:
                # For a bank, mlx-lm stores both the other way round.
                a, b = mx.contiguous(a.swapaxes(-1, -2)), mx.contiguous(b.swapaxes(-1, -2))
            published[f"{prefix}{source.module}.lora_a"] = a
            published[f"{prefix}{source.module}.lora_b"] = b
            magnitude = tensors.get(f"{source.module}.m")
            if magnitude is not None:
                published[f"{prefix}{source.module}.m"] = (
                    magnitude if stored is None else mx.take(magnitude, stored)
                )
    settings = {
        "fine_tune_type": str(shape.kind),
        "num_layers": config.num_hidden_layers - adapted.first,
        "lora_parameters": {"rank": shape.rank, "scale": shape.scale, "dropout": 0.0, "keys": sorted(keys)},
        "tidegate": dict(told),
    }
    try:
        mx.save_safetensors(str(directory / "adapters.safetensors"), published, {"format": "mlx"})
        text = json.dumps(settings, indent=2, ensure_ascii=False)
        (directory / "adapter_config.json").write_text(text + "\n", encoding="utf-8")
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{directory} cannot be written: {error}.") from None
