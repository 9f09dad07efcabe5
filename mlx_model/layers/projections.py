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

import mlx.core as mx

from mlx_model.config.model_config import Quantization
from mlx_model.errors import CheckpointError
from mlx_model.layers.parameters import Parameters

LinearMap = Callable[[mx.array], mx.array]
"""[..., in] → [..., out]."""


class Matrix:
    """One matrix, or a bank of them [experts, out, in], plain or packed."""

    def __init__(self, parameters: Parameters, outputs: int, inputs: int, experts: int | None = None) -> None:
        bank = () if experts is None else (experts,)
        self.packing: Quantization | None = None
        self.scales: mx.array | None = None
        self.biases: mx.array | None = None
        if not parameters.has("scales"):
            self.weight = parameters.take("weight", (*bank, outputs, inputs))
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

    def project(self, x: mx.array) -> mx.array:
        """[..., in] → [..., out]."""
        if self.packing is None or self.scales is None:
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
        if self.packing is None or self.scales is None:
            return mx.gather_mm(x, self.weight.swapaxes(-1, -2), rhs_indices=experts, sorted_indices=ordered)
        return mx.gather_qmm(
            x,
            self.weight,
            self.scales,
            self.biases,
            rhs_indices=experts,
            group_size=self.packing.group_size,
            bits=self.packing.bits,
            mode=self.packing.mode,
            sorted_indices=ordered,
        )

    def rows(self, indices: mx.array) -> mx.array:
        """The rows at `indices`, unpacked (an embedding): [...] → [..., in]."""
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
    """A projection [..., in] → [..., out], whole or in parts, with the checkpoint's bias and the adapter's
    low-rank update, where there are any. Raises CheckpointError for tensors that are missing or misshaped."""

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
        self.matrices = [Matrix(module, rows, inputs) for module, rows in modules]
        self.biases = [module.take("bias", (rows,)) for module, rows in modules] if bias else []
        self.update = LowRankUpdate(parameters, outputs, inputs) if parameters.has("lora_a") else None

    def __call__(self, x: mx.array) -> mx.array:
        outputs = [matrix.project(x) for matrix in self.matrices]
        if self.biases:
            outputs = [output + bias for output, bias in zip(outputs, self.biases, strict=True)]
        y = outputs[0] if len(outputs) == 1 else mx.concatenate(outputs, axis=-1)
        return y if self.update is None else y + self.update(x)


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
        self.update = LowRankUpdate(parameters, outputs, inputs, experts) if parameters.has("lora_a") else None

    def __call__(self, x: mx.array, experts: mx.array, ordered: bool) -> mx.array:
        """x [..., rows, in], experts [...] → [..., rows, out], as Matrix.gather."""
        outputs = [bank.gather(x, experts, ordered) for bank in self.banks]
        y = outputs[0] if len(outputs) == 1 else mx.concatenate(outputs, axis=-1)
        return y if self.update is None else y + self.update.gather(x, experts, ordered)


class LowRankUpdate:
    """What a LoRA adapter adds to a projection (arXiv 2106.09685): x · a · b, its scale already in b.

    `lora_a` [in, rank], `lora_b` [rank, out], each with a leading axis of experts for a bank.
    """

    def __init__(self, parameters: Parameters, outputs: int, inputs: int, experts: int | None = None) -> None:
        bank = () if experts is None else (experts,)
        self.a = parameters.take("lora_a")
        rank = self.a.shape[-1]
        self.b = parameters.take("lora_b", (*bank, rank, outputs))
        if self.a.shape != (*bank, inputs, rank):
            raise CheckpointError(
                f"The adapter's {parameters.path}.lora_a has the shape {tuple(self.a.shape)}; "
                f"the model asks for {(*bank, inputs, rank)}."
            )

    def __call__(self, x: mx.array) -> mx.array:
        return ((x @ self.a) @ self.b).astype(x.dtype)

    def gather(self, x: mx.array, experts: mx.array, ordered: bool) -> mx.array:
        """As Matrix.gather."""
        low = mx.gather_mm(x, self.a, rhs_indices=experts, sorted_indices=ordered)
        return mx.gather_mm(low, self.b, rhs_indices=experts, sorted_indices=ordered).astype(x.dtype)


def _modules(
    parameters: Parameters, outputs: int, parts: Sequence[tuple[str, int]]
) -> list[tuple[Parameters, int]]:
    """The modules that own the tensors, each with its output rows."""
    if parts and not parameters.has("weight"):
        return [(parameters.scope(name), rows) for name, rows in parts]
    return [(parameters, outputs)]
