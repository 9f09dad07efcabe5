"""Quantized matrices on disk: their packing, found from the quantization block and the headers; reading them.

MLX packs along the input: weight [rows, columns * bits / 32] of uint32, scales (and, in affine mode, biases)
[rows, columns / group_size]. So rows can be permuted, cut and joined without unpacking.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import mlx.core as mx

from mlx_model.config.model_config import ModelConfig, Quantization, QuantizationMode
from mlx_model.errors import CheckpointError
from mlx_model.weights.names import Source
from mlx_model.weights.safetensors import FLOAT_TYPES, TensorEntry, TensorReader


@dataclass(frozen=True, slots=True)
class StoredMatrix:
    """One stored matrix: for each kind of tensor (weight, scales, biases, bias) its entries, one or one per
    expert, and how it is packed."""

    source: Source
    kinds: Mapping[str, tuple[TensorEntry, ...]]
    quantization: Quantization | None

    @property
    def types(self) -> tuple[str, ...]:
        """The safetensors type of each kind of tensor."""
        return tuple(entries[0].type for entries in self.kinds.values())

    @property
    def sliceable(self) -> bool:
        """Whether slices of its leading axis can be read without the rest."""
        return self.source.order is None

    def entries(self) -> Iterator[TensorEntry]:
        """Every tensor on disk it is read from."""
        for entries in self.kinds.values():
            yield from entries

    def read(self, reader: TensorReader, start: int = 0, stop: int | None = None) -> dict[str, mx.array]:
        """Its tensors by kind, rows in canonical order; only [start, stop) of the first axis if sliceable."""
        if len(self.source.weights) > 1:
            return {kind: reader.read_stack(entries[start:stop]) for kind, entries in self.kinds.items()}
        arrays = reader.read_beside([entries[0] for entries in self.kinds.values()], start, stop)
        result = dict(zip(self.kinds, arrays, strict=True))
        if self.source.order is not None:
            order = mx.array(self.source.order.astype("uint32"))
            for kind, array in result.items():
                result[kind] = mx.take(array, order, axis=array.ndim - (1 if kind == "bias" else 2))
        return result


def check_matrix(
    config: ModelConfig, source: Source, bias: bool, entries: Mapping[str, TensorEntry]
) -> StoredMatrix:
    """The matrix of a source. Raises CheckpointError naming the tensor that is missing or does not fit."""
    weights = tuple(_find(entries, name) for name in source.weights)
    shape = source.shape if len(weights) == 1 else source.shape[1:]
    quantization: Quantization | None = None
    kinds: dict[str, tuple[TensorEntry, ...]] = {"weight": weights}
    scale_names = source.siblings("scales")
    if scale_names[0] in entries or weights[0].type == "U32":
        kinds["scales"] = tuple(_find(entries, name) for name in scale_names)
        quantization = _packing(config, source, shape, weights[0], kinds["scales"][0])
        if quantization.mode == "affine":
            kinds["biases"] = tuple(_find(entries, name) for name in source.siblings("biases"))
    if bias:
        kinds["bias"] = tuple(_find(entries, name) for name in source.siblings("bias"))
    for kind, found in kinds.items():
        expected_shape, expected_types = _expected(kind, shape, quantization)
        # All experts of a bank are of one type, so that they can be stacked.
        expected_types &= {found[0].type}
        for entry in found:
            if entry.shape != expected_shape:
                raise CheckpointError(
                    f"Tensor {entry.name} has shape {list(entry.shape)}; config.json asks for "
                    f"{list(expected_shape)}."
                )
            if entry.type not in expected_types:
                raise CheckpointError(f"Tensor {entry.name} is {entry.type}, which does not fit its place.")
    return StoredMatrix(source, kinds, quantization)


def packed_shapes(shape: tuple[int, ...], quantization: Quantization) -> dict[str, tuple[int, ...]]:
    """The shapes of weight, scales and (affine) biases of a packed matrix of this logical shape."""
    *leading, columns = shape
    groups = (*leading, columns // quantization.group_size)
    shapes = {"weight": (*leading, columns * quantization.bits // 32), "scales": groups}
    if quantization.mode == "affine":
        shapes["biases"] = groups
    return shapes


def _find(entries: Mapping[str, TensorEntry], name: str) -> TensorEntry:
    entry = entries.get(name)
    if entry is None:
        raise CheckpointError(f"The checkpoint lacks tensor {name}.")
    return entry


def _expected(
    kind: str, shape: tuple[int, ...], quantization: Quantization | None
) -> tuple[tuple[int, ...], frozenset[str]]:
    if kind == "bias":
        return (shape[0],), FLOAT_TYPES
    if quantization is None:
        return shape, FLOAT_TYPES
    if kind == "weight":
        types = frozenset({"U32"})
    else:
        types = FLOAT_TYPES if quantization.mode == "affine" else frozenset({"U8"})
    return packed_shapes(shape, quantization)[kind], types


def _packing(
    config: ModelConfig, source: Source, shape: tuple[int, ...], weight: TensorEntry, scales: TensorEntry
) -> Quantization:
    """The packing of one matrix: the config's entry for the module, else the config's default if it fits the
    shapes, else what the shapes imply.

    Published conversions name only what departs from their default, and some not even that; mlx-lm falls back
    on the shapes, so reading the same files takes the same fallback.
    """
    if source.module in config.module_quantization:
        named = config.module_quantization[source.module]
        if named is None:
            raise CheckpointError(
                f"config.json says {source.module} is not quantized, but the checkpoint has {scales.name}."
            )
        return named
    if config.quantization is not None and _fits(shape, weight, scales, config.quantization):
        return config.quantization
    columns = shape[-1]
    if weight.shape and scales.shape and scales.shape[-1] and columns % scales.shape[-1] == 0:
        group_size, bits = columns // scales.shape[-1], weight.shape[-1] * 32 // columns
        modes: tuple[QuantizationMode, ...] = ("affine",)
        if scales.type == "U8":
            modes = ("mxfp4", "nvfp4", "mxfp8")
        for mode in modes:
            try:
                guess = Quantization(bits=bits, group_size=group_size, mode=mode)
            except ValueError:
                continue
            if _fits(shape, weight, scales, guess):
                return guess
    raise CheckpointError(
        f"Tensor {weight.name} of shape {list(weight.shape)} with scales of shape {list(scales.shape)} "
        f"is packed in no way that config.json or MLX knows for {columns} columns."
    )


def _fits(shape: tuple[int, ...], weight: TensorEntry, scales: TensorEntry, quantization: Quantization) -> bool:
    if shape[-1] % quantization.group_size or (scales.type == "U8") == (quantization.mode == "affine"):
        return False
    shapes = packed_shapes(shape, quantization)
    return weight.shape == shapes["weight"] and scales.shape == shapes["scales"]
