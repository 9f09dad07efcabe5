"""The memory that a tuning takes, from the config alone, by the plan that serving uses for the weights. Sizes
are bytes.

The factors of a layer were found by measuring MLX's peak on a Linux CPU in float32, over 250 layers of random
shapes; tests/mlx_model/tune holds whole tunings against them. On Metal they have not been measured.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mlx_model.config.model_config import ModelConfig
from mlx_model.memory.footprint import recipe_packing
from mlx_model.memory.machine import GIB, Machine, mac
from mlx_model.memory.plan import WIRED_SHARE, Model, Wishes, plan_memory
from mlx_model.tune.adapters.targets import Kind, Shape, Target, first_layer, sites
from mlx_model.tune.losses import JUDGED_AT_ONCE
from mlx_model.weights.recipes import Recipe

SEGMENTS = (1024, 512, 256, 128, 64)
"""Tokens that a layer may compute at once, best first."""
_ON_CPU = 256
"""Tokens of a segment on a CPU, where larger ones take memory and gain no speed."""

_FLOAT32 = 4
"""Bytes of a number."""
_LEAST_CACHE = 1 << 28
"""Bytes of freed buffers that MLX may always cache."""
_COPIES = 5
"""float32 copies of the adapter: its matrices, those laid over the model, Adam's two moments, gradients."""


# Numbers that a token's gradient takes, per number of the width that each is named for.
_RESIDUAL = 6.5
"""Of the hidden size."""
_ROUTED_HIDDEN, _ROUTED_INNER, _ADAPTED_HIDDEN = 4.1, 10.6, 1.9
"""For each expert that a token goes to: of the hidden size, of the expert's width, and of the hidden size where
experts are adapted."""
_SHARED, _DENSE = 11.4, 17.0
"""Of the width of the shared expert, and of a dense feed-forward network."""
_DELTA_OWN = (16.5, 4.7, 20.4, 3.8)
_DELTA_HELD = (6.9, 7.0, 6.5, 0.9)
"""In float32, of the convolution's channels, of keys and values of all heads, of a chunk in all heads, and of
the state divided by a chunk: at DeltaNet's own peak, and while the feed-forward network has its own."""
_STATES = 1.3
"""States kept between two segments."""
_ATTENTION_OWN, _ATTENTION_HELD, _SCORES, _KEYS = 32.8, 8.9, 6.0, 4.5
"""In float32, of the queries, at attention's own peak and while the feed-forward network has its own; of the
scores of two segments; and of the keys of the whole text."""


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """Bytes by use. `weights`: the model's; `adapter`: its matrices with optimizer and gradients; `borders`:
    the hidden states kept between layers; `layer`: what one segment of one layer takes with its gradients;
    `head`: the logits of some positions. `length`: tokens of a text; `segment`: tokens that a layer computes at
    once; `budget`: what may be used; `usable`: of the machine's memory."""

    length: int
    segment: int
    weights: int
    adapter: int
    borders: int
    layer: int
    head: int
    budget: int
    usable: int
    widened: bool

    @property
    def peak(self) -> int:
        """The most that is held at once: the head is computed before the first layer goes backward."""
        return self.weights + self.adapter + self.borders + max(self.layer, self.head)

    @property
    def fits(self) -> bool:
        """Whether the peak is within the budget."""
        return self.peak <= self.budget

    @property
    def memory_limit(self) -> int:
        """See Limits."""
        return max(self.budget, self.peak)

    @property
    def cache_limit(self) -> int:
        """See Limits: enough to reuse the buffers of one segment for the next."""
        return max(self.layer, _LEAST_CACHE)

    @property
    def wired_limit(self) -> int:
        """See Limits."""
        return min(self.peak, int(WIRED_SHARE * self.usable))


def plan_tuning(
    model: Model, machine: Machine, shape: Shape, length: int, *, chunk: int = 64, texts: int = 1
) -> TuningPlan:
    """The plan with the largest segment that fits, or with the smallest. `length`: tokens of a text; `texts`:
    how many are compared with each other in an example. Raises RequestError where nothing would be adapted."""
    plans = [
        _plan(model, machine, shape, length, segment=segment, chunk=chunk, texts=texts)
        for segment in SEGMENTS
        if segment <= _ON_CPU or not model.arithmetic.on_cpu
    ]
    return next((plan for plan in plans if plan.fits), plans[-1])


def remedies(model: Model, machine: Machine, shape: Shape, length: int, texts: int = 1) -> Iterator[str]:
    """Single changes with which it would fit, the smallest first."""

    def fits(
        model: Model = model, machine: Machine = machine, shape: Shape = shape, length: int = length
    ) -> bool:
        return plan_tuning(model, machine, shape, length, texts=texts).fits

    shorter = length // 2
    while shorter >= 256:
        if fits(length=shorter):
            yield f"with texts of {shorter:,} tokens"
            break
        shorter //= 2
    if Target.EXPERTS in shape.targets and len(shape.targets) > 1:
        usual = tuple(target for target in shape.targets if target is not Target.EXPERTS)
        if fits(shape=replace(shape, targets=usual)):
            yield "without adapting the routed experts"
    layers = model.config.num_hidden_layers if shape.layers is None else shape.layers
    while layers > 4:
        layers //= 2
        if fits(shape=replace(shape, layers=layers)):
            yield f"with the last {layers} layers adapted"
            break
    four = replace(model, packing=recipe_packing(Recipe.Q4), widened=False)
    if _weights(four, machine, length) < _weights(model, machine, length) and fits(model=four):
        yield "with the model at 4 bits (recipe q4)"
    for size in (16, 24, 32, 48, 64, 96, 128, 192, 256, 512):
        larger = mac(size * GIB) if machine.kind == "mac" else Machine(size * GIB, size * GIB, machine.kind)
        if larger.usable > machine.usable and fits(machine=larger):
            yield f"on a {'Mac' if machine.kind == 'mac' else 'machine'} with {size} GB"
            break


def _plan(
    model: Model, machine: Machine, shape: Shape, length: int, *, segment: int, chunk: int, texts: int
) -> TuningPlan:
    config, float_bytes = model.config, model.arithmetic.float_bytes
    segment = min(segment, length)
    layers = config.num_hidden_layers - first_layer(config, shape)
    # What goes into each adapted layer, and what comes out of the last; then the gradient takes its place.
    borders = (layers + 1) * length * config.hidden_size * float_bytes * texts
    logits = JUDGED_AT_ONCE * config.vocab_size * (2 * float_bytes + 3 * _FLOAT32)
    return TuningPlan(
        length=length,
        segment=segment,
        weights=_weights(model, machine, length),
        adapter=_adapter(config, shape),
        borders=borders,
        layer=_layer(model, shape, length, segment, min(chunk, segment)),
        head=logits,
        budget=plan_memory(model, machine, Wishes(context=length, snapshots=0)).budget,
        usable=machine.usable,
        widened=model.widened,
    )


def _weights(model: Model, machine: Machine, length: int) -> int:
    """Of the whole model with all its experts, without an MTP layer."""
    wishes = Wishes(context=length, expert_slots=max(1, model.config.num_experts), snapshots=0)
    return plan_memory(replace(model, mtp=False), machine, wishes).weight_bytes


def _adapter(config: ModelConfig, shape: Shape) -> int:
    count = 0
    for site in sites(config, shape):
        for source in site.sources:
            *bank, rows, columns = source.shape
            own = shape.rank * (rows + columns) + (rows if shape.kind is Kind.DORA else 0)
            count += own * (bank[0] if bank else 1)
    return _COPIES * _FLOAT32 * count


def _layer(model: Model, shape: Shape, length: int, segment: int, chunk: int) -> int:
    """The largest layer while a segment goes backward. Its peak is in the gradient of the feed-forward network,
    when what the token mixer's gradient needs is held too, or in that of the token mixer."""
    config, float_bytes = model.config, model.arithmetic.float_bytes
    kinds = {
        (config.is_linear(index), config.is_sparse(index)): index for index in range(config.num_hidden_layers)
    }
    return max(
        _delta_net(config, length, segment, chunk, _feed_forward(config, segment, shape, index, float_bytes))
        if linear
        else _attention(config, length, segment, _feed_forward(config, segment, shape, index, float_bytes))
        for (linear, _), index in kinds.items()
    ) + int(_RESIDUAL * segment * config.hidden_size * float_bytes)


def _feed_forward(config: ModelConfig, segment: int, shape: Shape, index: int, float_bytes: int) -> float:
    if not config.is_sparse(index):
        return segment * _DENSE * config.intermediate_size * float_bytes
    chosen = config.num_experts_per_tok
    routed = _ROUTED_HIDDEN * config.hidden_size + _ROUTED_INNER * config.moe_intermediate_size
    if Target.EXPERTS in shape.targets:
        routed += _ADAPTED_HIDDEN * config.hidden_size
    shared = _SHARED * config.shared_expert_intermediate_size
    return segment * (chosen * routed + shared) * float_bytes


def _delta_net(config: ModelConfig, length: int, segment: int, chunk: int, feed_forward: float) -> int:
    heads, keys, values = (
        config.linear_num_value_heads,
        config.linear_key_head_dim,
        config.linear_value_head_dim,
    )
    widths = (config.conv_dim, heads * (keys + values), heads * chunk, heads * keys * values / chunk)
    own, held = (
        segment * sum(factor * width for factor, width in zip(factors, widths, strict=True)) * _FLOAT32
        for factors in (_DELTA_OWN, _DELTA_HELD)
    )
    states = _STATES * -(-length // segment) * heads * keys * values * _FLOAT32
    return int(max(own, held + feed_forward) + states)


def _attention(config: ModelConfig, length: int, segment: int, feed_forward: float) -> int:
    heads, queries = config.num_attention_heads, config.num_attention_heads * config.head_dim
    own = segment * (_ATTENTION_OWN * queries + _SCORES * heads * segment) * _FLOAT32
    held = segment * _ATTENTION_HELD * queries * _FLOAT32
    keys = _KEYS * length * config.num_key_value_heads * config.head_dim * _FLOAT32
    return int(max(own, held + feed_forward) + keys)
