"""Packed tensors of a checkpoint as plain ones, unpacked while they are read."""

from collections.abc import Iterable, Iterator, Mapping

import mlx.core as mx

from mlx_model.config.model_config import Quantization


def unpacked_tensors(
    tensors: Iterable[tuple[str, mx.array]], quantization: Mapping[str, Quantization]
) -> Iterator[tuple[str, mx.array]]:
    """The canonical tensors of Checkpoint.tensors, in float32 where they were packed: weight, scales and biases
    of a module, which follow each other, become its weight."""
    parts: dict[str, mx.array] = {}
    for name, tensor in tensors:
        path, _, kind = name.rpartition(".")
        packing = quantization.get(path)
        if packing is None or kind == "bias":
            yield name, tensor
            continue
        # Scales in float32, or MLX would round the result to their 16 bits; one byte each in other modes.
        parts[kind] = tensor.astype(mx.float32) if mx.issubdtype(tensor.dtype, mx.floating) else tensor
        if len(parts) == (3 if packing.mode == "affine" else 2):
            yield (
                f"{path}.weight",
                mx.dequantize(
                    parts["weight"],
                    parts["scales"],
                    parts.get("biases"),
                    group_size=packing.group_size,
                    bits=packing.bits,
                    mode=packing.mode,
                    dtype=mx.float32,
                ),
            )
            parts.clear()
