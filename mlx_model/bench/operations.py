"""bench operations: the operations that one decoded token dispatches, ours and mlx-lm's side by side.

They are counted in the graph of the computation, before it runs: views (reshapes, slices, splits, broadcasts)
start no kernel and are left out, what mx.compile fuses is one, and so is each of MLX's fused operations, which
a CPU would otherwise break into many. So the count is that of a GPU wherever it is taken. Operations, not
bytes, bound the decoding of a model with 3 B active parameters: each costs a launch.
"""

import argparse
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import mlx.core as mx

from mlx_model.commands.shared.memory_check import add_memory, settle_memory
from mlx_model.commands.shared.options import load_model
from mlx_model.config.model_config import ModelConfig
from mlx_model.engine.kernel_choice import DeltaStepChoice, use_delta_step
from mlx_model.errors import ConfigError
from mlx_model.layers.decoder import AttentionLayer, DeltaNetLayer
from mlx_model.layers.elementwise import fusing
from mlx_model.layers.kernels.delta_step import DeltaWeights
from mlx_model.memory.device import on_cpu
from mlx_model.memory.graphs import compiles
from mlx_model.memory.plan import Wishes
from mlx_model.model import Qwen3Next

_VIEWS = frozenset(
    name
    for names in (
        ("AsStrided", "Broadcast", "BroadcastAxes", "ExpandDims", "Flatten", "Load", "Reshape", "Slice"),
        ("Split", "Squeeze", "StopGradient", "Transpose", "Unflatten", "View"),
    )
    for name in names
)
"""Primitives that start no kernel when the array behind them is contiguous, as all are here."""
_PROMPT = 3
"""Tokens before the one that is counted, so that no buffer has to be made for it."""
_SMALL = 64
"""Width of mlx-lm's stand-in for the checkpoint: no count depends on a width."""

_STAND_IN = "Depends"
"""The primitive that stands for a fused operation."""

Step = tuple[mx.array, Sequence[Sequence[mx.array]]]
"""A token's logits, and the arrays of each layer's state after it."""
Shapes = Callable[..., list[tuple[tuple[int, ...], mx.Dtype]]]
"""The shapes and dtypes of an operation's outputs, from its arguments."""


@dataclass(frozen=True, slots=True)
class Operations:
    """Operations of one token: in all, by kind, and those of each layer; the rest is embedding, norm and
    head."""

    total: int
    kinds: Mapping[str, int]
    layers: Sequence[int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="checkpoint directory")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_memory(parser, slots=False)
    parser.set_defaults(dtype="bfloat16", adapter=None, kv_bits=None)


def run(arguments: argparse.Namespace) -> int:
    """Prints both counts. Raises EngineError."""
    plan = settle_memory(arguments, Wishes(_PROMPT + 1, snapshots=0))
    loaded = load_model(arguments, plan)
    if not isinstance(loaded.model, Qwen3Next):
        raise ConfigError(f"A {loaded.architecture} model is run by mlx-lm itself.")
    config = loaded.model.config
    counted = {
        "ours": count_ours(loaded.model),
        "fused": count_ours(loaded.model, fused=True),
        "mlx_lm": count_mlx_lm(config),
    }
    if arguments.json:
        print(json.dumps({name: asdict(operations) for name, operations in counted.items()}))
        return 0
    kinds = {kind for operations in counted.values() for kind in operations.kinds}
    _print_row("operation", *counted)
    for kind in sorted(kinds, key=lambda kind: (-counted["ours"].kinds.get(kind, 0), kind)):
        _print_row(kind, *(operations.kinds.get(kind, 0) for operations in counted.values()))
    for kind, is_linear in (("DeltaNet", True), ("attention", False)):
        if (index := next(iter(_layers_of(config, is_linear)), None)) is not None:
            _print_row(f"a layer with {kind}", *(found.layers[index] for found in counted.values()))
    _print_row("a token", *(operations.total for operations in counted.values()))
    return 0


def _print_row(name: str, *cells: object) -> None:
    print(f"{name:<40}" + "".join(f"{cell!s:>8}" for cell in cells))


def count_ours(model: Qwen3Next, *, fused: bool = False) -> Operations:
    """Those of our engine, in the dtype that the model was loaded for. `fused`: with our own kernel for a step
    of DeltaNet, which runs in Metal only (see engine.kernel_choice)."""
    calls: Counter[str] = Counter()
    step_of_delta_net = _one_operation("DeltaStep", _step_shapes, calls) if fused else None
    use_delta_step(model, DeltaStepChoice(step_of_delta_net, ""))
    model.compiles = False  # an operation is counted when it is called
    for layer in model.layers:
        if isinstance(layer, DeltaNetLayer):
            layer.linear_attn.rule.update = _gpu_update
    state = model.state()
    mx.eval(model.last_logits(mx.array([list(range(_PROMPT))]), state), state.arrays())

    def step() -> Step:
        logits = model.last_logits(mx.array([[_PROMPT]]), state)
        return logits, [layer.arrays() for layer in state.layers]

    return _count(step, (AttentionLayer, DeltaNetLayer), calls)


def _gpu_update(  # noqa: PLR0917 (see Update)
    q: mx.array, k: mx.array, v: mx.array, decay: mx.array, beta: mx.array, matrix: mx.array
) -> Sequence[mx.array]:
    """The operation is looked up when it is called: another stands in its place while operations are
    counted."""
    return mx.fast.gated_delta_update(q, k, v, decay, beta, matrix)


def count_mlx_lm(config: ModelConfig) -> Operations:
    """Those of mlx-lm's model with as many layers of the same kinds, at 4 bits; its matrices are small and
    random."""
    from mlx.nn.layers.quantized import quantize  # noqa: PLC0415 (mlx-lm imports transformers, which takes seconds)
    from mlx_lm.models import gated_delta, qwen3_next  # noqa: PLC0415
    from mlx_lm.models.cache import make_prompt_cache  # noqa: PLC0415

    chosen = config.num_experts_per_tok
    arguments = {
        "model_type": "qwen3_next",
        "num_hidden_layers": config.num_hidden_layers,
        "full_attention_interval": next(iter(_layers_of(config, False)), config.num_hidden_layers) + 1,
        "num_experts": chosen + 1,
        "num_experts_per_tok": chosen,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [n for n in range(config.num_hidden_layers) if not config.is_sparse(n)],
        "norm_topk_prob": config.norm_topk_prob,
        "tie_word_embeddings": config.tie_word_embeddings,
        "linear_conv_kernel_dim": config.linear_conv_kernel_dim,
        "attention_bias": config.attention_bias,
        "linear_num_key_heads": 1,
        "linear_num_value_heads": 2,
        "linear_key_head_dim": _SMALL,
        "linear_value_head_dim": _SMALL,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": _SMALL,
        "partial_rotary_factor": 0.5,
        "rope_theta": 1e4,
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 1024,
        **dict.fromkeys(
            (
                "hidden_size",
                "intermediate_size",
                "moe_intermediate_size",
                "shared_expert_intermediate_size",
                "vocab_size",
            ),
            _SMALL,
        ),
    }
    model = qwen3_next.Model(qwen3_next.ModelArgs.from_dict(arguments))  # type: ignore[no-untyped-call]
    model.set_dtype(mx.bfloat16)
    quantize(model, group_size=_SMALL, bits=4)
    model.eval()
    mx.eval(model.parameters())
    cache = make_prompt_cache(model)

    mx.eval(model(mx.array([list(range(_PROMPT))]), cache=cache), [layer.state for layer in cache])

    def step() -> Step:
        logits = model(mx.array([[_PROMPT]]), cache=cache)
        return logits, [[part for part in layer.state if isinstance(part, mx.array)] for layer in cache]

    calls: Counter[str] = Counter()
    fused = _one_operation("GatedDeltaUpdate", _delta_shapes, calls)
    with (
        patch.object(gated_delta, "gated_delta_ops", fused),
        patch.object(gated_delta, "gated_delta_kernel", fused),
    ):
        return _count(step, (qwen3_next.Qwen3NextDecoderLayer,), calls)


def _layers_of(config: ModelConfig, is_linear: bool) -> Iterator[int]:
    return (index for index in range(config.num_hidden_layers) if config.is_linear(index) == is_linear)


def _count(step: Callable[[], Step], layers: Sequence[type], calls: Counter[str]) -> Operations:
    """Counts the operations behind what `step` returns, and those of each layer."""
    between: list[mx.array] = []
    with ExitStack() as stack:
        for owner, name, kind, shapes in _FUSED:
            stack.enter_context(patch.object(owner, name, _one_operation(kind, shapes, calls)))
        for layer in layers:
            stack.enter_context(_recorded(layer, between))
        stack.enter_context(_compiling())
        # What has been computed has no graph left to count.
        stack.enter_context(patch.object(mx, "async_eval", lambda *_arrays: None))
        logits, states = step()
        kinds = _kinds([logits, *chain(*states)])
        up_to = [_kinds([x, *chain(*states[:index])]).total() for index, x in enumerate(between)]
    if kinds.pop(_STAND_IN, 0) != calls.total():
        raise ConfigError(
            "A fused operation of this model has outputs that nothing reads: they cannot be counted."
        )
    kinds += calls
    return Operations(kinds.total(), dict(kinds), [b - a for a, b in pairwise(up_to)])


def _kinds(arrays: Sequence[mx.array]) -> Counter[str]:
    """The operations that would compute `arrays`, by the names of MLX's primitives."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "graph.dot"
        mx.export_to_dot(str(file), *arrays)
        names = re.findall(r'label ="([^"]+)"', file.read_text())
    return Counter(name.replace("Broadcast", "") for name in names if name not in _VIEWS)


def _one_operation(kind: str, shapes: Shapes, calls: Counter[str]) -> Callable[..., Any]:
    """In the place of a fused operation: one node of the graph with its inputs, and outputs of its shapes."""

    def operation(*args: Any, **kwargs: Any) -> Any:
        calls[kind] += 1
        outputs = [mx.zeros(shape, dtype) for shape, dtype in shapes(*args, **kwargs)]
        mx.eval(outputs)
        inputs = [value for value in (*args, *kwargs.values()) if isinstance(value, mx.array)]
        made = mx.depends(outputs, inputs)
        return made if len(made) > 1 else made[0]

    return operation


@contextmanager
def _recorded(layer: type, between: list[mx.array]) -> Iterator[None]:
    """Appends to `between` what the first layer is given and what each layer gives."""
    call = layer.__call__

    def recording(self: Any, x: mx.array, *args: Any, **kwargs: Any) -> Any:
        if not between:
            between.append(x)
        between.append(call(self, x, *args, **kwargs))
        return between[-1]

    with patch.object(layer, "__call__", recording):
        yield


@contextmanager
def _compiling() -> Iterator[None]:
    """mx.compile on, as on a GPU: what it makes is counted here and never run. Raises ConfigError without a
    compiler."""
    mx.enable_compile()
    try:
        if not compiles():
            raise ConfigError(
                "Operations can be counted only where g++ is installed, without which MLX fuses none."
            )
        with fusing():
            yield
    finally:
        if on_cpu():
            mx.disable_compile()


def _like_first(x: mx.array, *_args: Any, **_kwargs: Any) -> list[tuple[tuple[int, ...], mx.Dtype]]:
    return [(x.shape, x.dtype)]


def _attention_shapes(
    queries: mx.array, _keys: mx.array, values: mx.array, **_kwargs: Any
) -> list[tuple[tuple[int, ...], mx.Dtype]]:
    return [((*queries.shape[:-1], values.shape[-1]), queries.dtype)]


def _delta_shapes(
    q: mx.array, _k: mx.array, v: mx.array, _decay: mx.array, _beta: mx.array, state: mx.array, *_args: Any
) -> list[tuple[tuple[int, ...], mx.Dtype]]:
    return [(v.shape, q.dtype), (state.shape, state.dtype)]


def _step_shapes(
    projected: mx.array, _inputs: Sequence[mx.array], matrix: mx.array, weights: DeltaWeights
) -> list[tuple[tuple[int, ...], mx.Dtype]]:
    values = matrix.shape[1] * matrix.shape[2]
    assert weights.norm.size == matrix.shape[2]
    return [((1, 1, values), projected.dtype), (matrix.shape, matrix.dtype)]


def _unpacked_shape(
    weight: mx.array, /, scales: mx.array, *_args: Any, bits: int, **_kwargs: Any
) -> list[tuple[tuple[int, ...], mx.Dtype]]:
    return [((*weight.shape[:-1], weight.shape[-1] * 32 // bits), scales.dtype)]


_FUSED: tuple[tuple[Any, str, str, Shapes], ...] = (
    (mx.fast, "rms_norm", "RMSNorm", _like_first),
    (mx.fast, "rope", "RoPE", _like_first),
    (mx.fast, "scaled_dot_product_attention", "ScaledDotProductAttention", _attention_shapes),
    (mx.fast, "gated_delta_update", "GatedDeltaUpdate", _delta_shapes),
    (mx, "dequantize", "Dequantize", _unpacked_shape),
)
"""What is one kernel on a GPU, and several operations or a kernel of its own on a CPU."""
