"""Linear projections: plain or packed matrices, whole or in parts, single or a bank of experts.

A canonical module path names a projection. Below it the checkpoint holds, in one of two forms:

- **whole**: `PATH.weight` [out, in], and `PATH.scales` (with `PATH.biases` in affine mode) when it is packed;
- **in parts**: `PATH.PART.weight` (and scales, biases) for every part in the order listed below, each packed in
  its own way or not at all. The outputs are concatenated, so rows mean the same in both forms. Parts are used
  where the tensors of one projection are packed differently and could only be joined by unpacking them.

`Parameters.quantization` has the packing of a packed matrix under the path that owns the tensors: `PATH` for a
whole one, `PATH.PART` for a part. `PATH.bias` [out] (`PATH.PART.bias` in parts) is added where attention_bias
is set.

    path (below model.layers.N)      rows of the whole matrix                 parts
    linear_attn.in_proj              q | k | v | z | b | a                    qkvz, ba or qkv, z, b, a
    self_attn.qkv_proj               q (all heads) | gate (all heads) | k | v  qg, k, v
    mlp.gate_up_proj                 gate | up                                gate, up
    mlp.shared_expert.gate_up_proj   gate | up                                gate, up
    mlp.experts.gate_up_proj         [experts, gate | up, hidden]             gate, up

All rows are grouped by kind (de-interleaved): where a checkpoint interleaves them per head, reading permutes
the rows of weight, scales and biases alike (packing runs along the input, so rows can be permuted). So `qkvz`
is q | k | v | z with every head's q first, `ba` is b | a, and `qg` is q of all heads | gate of all heads. All
others (out_proj, o_proj, down_proj, experts.down_proj [experts, hidden, intermediate], mlp.gate,
shared_expert_gate, lm_head, embed_tokens, mtp.fc) is whole.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from math import prod

import mlx.core as mx
import numpy as np

from mlx_model.config.model_config import Quantization
from mlx_model.errors import CheckpointError
from mlx_model.layers.low_rank import LowRankUpdate, make_update
from mlx_model.layers.parameters import Parameters

_SMALL_PRODUCT = 64**3
"""Multiplications of the largest product of x and a transposed matrix that OpenBLAS 0.3 (x86-64) computes
without rearranging the matrix first, which takes longer than a few rows are worth. In blocks that small one row
by 1,024 by 1,024 takes 0.39 of the time, by 3,104 by 1,024 0.22, by 776 by 256 0.79, and four rows 0.38, 0.32
and 0.78 (OpenBLAS 0.3.21, one core)."""
_FEW_ROWS = 17
"""The most rows of inputs that are multiplied in such blocks: those of a token and the most drafts that are
verified with it. Of 9 rows it takes 0.78 of the time, of 16 rows 0.82 (the practice model's matrices, one busy
core)."""
_BANK_COLUMNS = 64
"""Outputs of a block of an expert, which is kept transposed: the rows of a pass go through their experts one by
one, and from memory such a block comes faster than a matrix with its columns far apart. Five tokens by two of
eight experts take 0.68 of the time, 16 tokens 0.69, one token 1.05 (6 layers of the practice model, one busy
core)."""
_GROUPED_ROWS = 64
"""Rows of inputs from which on those of one expert are multiplied together."""
_FAST_ROWS = 8
"""A matrix is padded to a multiple of these rows: MLX's fast kernel for one row of inputs asks for it."""

LinearMap = Callable[[mx.array], mx.array]
"""[..., in] → [..., out]."""


class Matrix:
    """One matrix, or a bank of them [experts, out, in], plain or packed."""

    def __init__(self, parameters: Parameters, outputs: int, inputs: int, experts: int | None = None) -> None:
        bank = () if experts is None else (experts,)
        self.by_blas = parameters.by_blas
        # By rows of inputs: the transposed matrix in blocks.
        self._blocks: dict[int, mx.array] = {}
        self._shape = (*bank, outputs, inputs)
        # Whether the weight is a bank's matrices transposed, in blocks [experts · blocks, in, out / blocks].
        self._in_columns = False
        self.packing: Quantization | None = None
        self.scales: mx.array | None = None
        self.biases: mx.array | None = None
        if not parameters.has("scales"):
            self.weight = parameters.take("weight", self._shape)
            if self.by_blas and experts is not None:
                self.weight, self._in_columns = _in_columns(self.weight), True
            return
        packing = parameters.quantization.get(parameters.path)
        if packing is None:
            raise CheckpointError(f"{parameters.path} is packed, but config.json does not say how.")
        if inputs % packing.group_size:
            raise CheckpointError(
                f"{parameters.path} has rows of {inputs}, which groups of {packing.group_size} do not divide."
            )
        self.packing = packing
        groups = (*bank, outputs, inputs // packing.group_size)
        self.weight = parameters.take("weight", (*bank, outputs, inputs * packing.bits // 32))
        self.scales = parameters.take("scales", groups)
        if packing.mode == "affine":
            self.biases = parameters.take("biases", groups)

    @property
    def row_count(self) -> int:
        """Output rows."""
        return int(self._shape[-2])

    @property
    def leading(self) -> int:
        """The length of the axis that `rows` takes indices of: experts of a bank, rows of a single matrix."""
        return int(self._shape[0])

    def project(self, x: mx.array) -> mx.array:
        """[..., in] → [..., out]."""
        if self.packing is None or self.scales is None:
            if self.by_blas and x.shape[-2] <= _FEW_ROWS and (x.ndim == 2 or len(x) == 1):
                y = x @ self._in_blocks(x.shape[-2])
                # One block has the shape of three axes that x mostly has: no view more in the graph of a token.
                return y if y.shape[:-1] == x.shape[:-1] else y.swapaxes(0, 1).reshape(*x.shape[:-1], -1)
            return x @ self.weight.swapaxes(-1, -2)
        return mx.quantized_matmul(
            x,
            self.weight,
            self.scales,
            self.biases,
            group_size=self.packing.group_size,
            bits=self.packing.bits,
            mode=self.packing.mode,
        )

    def gather(self, x: mx.array, experts: mx.array, ordered: bool) -> mx.array:
        """x[i] [rows, in] by expert experts[i], for all leading indices i → [..., rows, out]; `ordered`:
        `experts` ascends."""
        if self._in_columns:
            if ordered and len(x) >= _GROUPED_ROWS:
                return self._gather_by_groups(x, experts)
            count = len(self.weight) // self.leading
            blocks = (experts * count)[..., None] + _row_indices((count,))
            y = mx.gather_mm(x, self.weight, _row_indices(x.shape[:-2])[..., None], rhs_indices=blocks)
            return y.reshape(*experts.shape, 1, -1)
        rows = None if ordered else _row_indices(x.shape[:-2])
        if self.packing is None or self.scales is None:
            return mx.gather_mm(
                x, self.weight.swapaxes(-1, -2), rows, rhs_indices=experts, sorted_indices=ordered
            )
        return mx.gather_qmm(
            x,
            self.weight,
            self.scales,
            self.biases,
            lhs_indices=rows,
            rhs_indices=experts,
            group_size=self.packing.group_size,
            bits=self.packing.bits,
            mode=self.packing.mode,
            sorted_indices=ordered,
        )

    def _in_blocks(self, rows: int) -> mx.array:
        """The transposed matrix in blocks of outputs [blocks, in, out / blocks] that make small products with
        so many rows of inputs; in one where it is small as a whole or does not divide well."""
        if rows not in self._blocks:
            outputs, inputs = self.weight.shape[-2:]
            least = -(-rows * outputs * inputs // _SMALL_PRODUCT)
            count = next((n for n in range(least, 4 * least) if outputs % n == 0), 1)
            self._blocks[rows] = self.weight.reshape(-1, outputs // count, inputs).swapaxes(1, 2)
            mx.eval(self._blocks[rows])
        return self._blocks[rows]

    def _gather_by_groups(self, x: mx.array, experts: mx.array) -> mx.array:
        """As `gather` for ascending experts [n]: the inputs of one expert in one product. MLX's CPU backend
        (0.32) has a product for each. Waits for the device to choose the experts."""
        counts = np.bincount(np.array(experts), minlength=self.leading)
        ends = np.cumsum(counts)
        of_one = len(self.weight) // self.leading
        groups = [
            # A slice is a view; MLX (0.32) copies what a single index chooses.
            x[end - count : end].swapaxes(0, 1) @ self.weight[expert * of_one : (expert + 1) * of_one]
            for expert, (count, end) in enumerate(zip(counts.tolist(), ends.tolist(), strict=True))
            if count
        ]
        return mx.concatenate(groups, axis=1).swapaxes(0, 1).reshape(len(x), 1, -1)

    def rows(self, indices: mx.array) -> mx.array:
        """The rows at `indices`, unpacked (an embedding): [...] → [..., in]; of a bank, the matrices of these
        experts."""
        if self._in_columns:
            blocks = self.weight.reshape(self.leading, -1, *self.weight.shape[1:])[indices]
            return blocks.swapaxes(-1, -2).reshape(*indices.shape, *self._shape[1:])
        if self.packing is None or self.scales is None:
            return self.weight[indices]
        return mx.dequantize(
            self.weight[indices],
            self.scales[indices],
            None if self.biases is None else self.biases[indices],
            group_size=self.packing.group_size,
            bits=self.packing.bits,
            mode=self.packing.mode,
        )


class Linear:
    """A projection [..., in] → [..., out], whole or in parts, with the checkpoint's bias and an adapter's
    `update`, where there are any. Raises CheckpointError for tensors that are missing or misshaped."""

    def __init__(
        self,
        parameters: Parameters,
        outputs: int,
        inputs: int,
        parts: Sequence[tuple[str, int]] = (),
        *,
        bias: bool = False,
    ) -> None:
        modules = _modules(parameters, outputs, parts)
        self.outputs, self.inputs = outputs, inputs
        self.matrices = [Matrix(module, rows, inputs) for module, rows in modules]
        self.bias: mx.array | None = None
        if bias:
            self.bias = mx.concatenate([module.take("bias", (rows,)) for module, rows in modules])
            # Lazy arrays belong to the thread that loads; the model may run in another.
            mx.eval(self.bias)
        self.update: LowRankUpdate | None = None
        parameters.adaptable[parameters.path] = self

    def __call__(self, x: mx.array) -> mx.array:
        outputs = [matrix.project(x) for matrix in self.matrices]
        y = outputs[0] if len(outputs) == 1 else mx.concatenate(outputs, axis=-1)
        if self.update is not None:
            y = self.update.applied(x, y)
        return y if self.bias is None else y + self.bias

    def prepared(self, a: mx.array, b: mx.array, magnitude: mx.array | None, dtype: mx.Dtype) -> LowRankUpdate:
        """See Adaptable."""
        return make_update(self.matrices, a, b, magnitude, dtype)


class Joined:
    """Projections of the same input, in one product where they are packed alike and no adapter changes any."""

    def __init__(self, *linears: Linear) -> None:
        self.linears = linears
        self.whole = _joined(linears)
        self.splits = list(accumulate(linear.outputs for linear in linears))

    def __call__(self, x: mx.array) -> list[mx.array]:
        """[..., in] → the outputs of each, [..., out]."""
        if self.whole is None or any(linear.update is not None for linear in self.linears):
            return [linear(x) for linear in self.linears]
        y = self.whole.project(x)
        return [y[..., start:end] for start, end in pairwise([0, *self.splits])]


class ExpertLinear:
    """One projection of every expert of a layer, whole or in parts."""

    def __init__(
        self,
        parameters: Parameters,
        experts: int,
        outputs: int,
        inputs: int,
        parts: Sequence[tuple[str, int]] = (),
    ) -> None:
        modules = _modules(parameters, outputs, parts)
        self.banks = [Matrix(module, rows, inputs, experts) for module, rows in modules]
        self.update: LowRankUpdate | None = None
        parameters.adaptable[parameters.path] = self

    def __call__(self, x: mx.array, experts: mx.array, ordered: bool) -> mx.array:
        """x [..., rows, in], experts [...] → [..., rows, out], as Matrix.gather."""
        outputs = [bank.gather(x, experts, ordered) for bank in self.banks]
        y = outputs[0] if len(outputs) == 1 else mx.concatenate(outputs, axis=-1)
        return y if self.update is None else self.update.gathered(x, y, experts, ordered)

    def prepared(self, a: mx.array, b: mx.array, magnitude: mx.array | None, dtype: mx.Dtype) -> LowRankUpdate:
        """See Adaptable."""
        return make_update(self.banks, a, b, magnitude, dtype)


def _joined(linears: Sequence[Linear]) -> Matrix | None:
    """One matrix with the rows of all; None where they are packed differently or have more than a matrix."""
    matrices = [matrix for linear in linears for matrix in linear.matrices]
    first = matrices[0]
    if (
        any(len(linear.matrices) > 1 or linear.bias is not None for linear in linears)
        or any(matrix.packing != first.packing for matrix in matrices)
        or any(matrix.weight.dtype != first.weight.dtype for matrix in matrices)
    ):
        return None
    count = sum(linear.outputs for linear in linears)
    padding = -count % _FAST_ROWS
    tensors = {}
    for name in ("weight", "scales", "biases"):
        if (part := getattr(first, name)) is not None:
            zeros = mx.zeros((padding, part.shape[-1]), part.dtype)
            tensors[name] = mx.concatenate([*(getattr(matrix, name) for matrix in matrices), zeros])
    mx.eval(tensors)
    packing = {} if first.packing is None else {"": first.packing}
    joined = Matrix(Parameters(tensors, packing), count + padding, linears[0].inputs)
    joined.by_blas = first.by_blas
    return joined


def _in_columns(bank: mx.array) -> mx.array:
    """A bank [experts, out, in] → its matrices transposed, in blocks of outputs; see Matrix."""
    outputs, inputs = bank.shape[-2:]
    least = -(-outputs // _BANK_COLUMNS)
    count = next((n for n in range(least, 4 * least) if outputs % n == 0), 1)
    blocks = mx.contiguous(bank.reshape(-1, outputs // count, inputs).swapaxes(1, 2))
    mx.eval(blocks)
    return blocks


@lru_cache(maxsize=256)
def _row_indices(shape: tuple[int, ...]) -> mx.array:
    """0, 1, 2, ... in this shape: without them MLX computes them at every call."""
    indices = mx.arange(prod(shape), dtype=mx.uint32).reshape(shape)
    mx.eval(indices)
    return indices


def _modules(
    parameters: Parameters, outputs: int, parts: Sequence[tuple[str, int]]
) -> list[tuple[Parameters, int]]:
    """The modules that own the tensors, each with its output rows."""
    if parts and not parameters.has("weight"):
        return [(parameters.scope(name), rows) for name, rows in parts]
    return [(parameters, outputs)]
