"""The memory that a tuning takes, from the config alone, by the plan that serving uses for the weights. Sizes
are bytes.

The factors of a layer were found by measuring MLX's peak on a Linux CPU in float32, over 120 layers of random
shapes; tests/mlx_model/tune holds whole tunings against them. On Metal they have not been measured.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mlx_model.config.model_config import ModelConfig
from mlx_model.memory.footprint import recipe_packing
from mlx_model.memory.machine import GIB, Machine, mac
from mlx_model.memory.plan import Model, Wishes, plan_memory
from mlx_model.tune.adapters.targets import Kind, Shape, Target, first_layer, sites
from mlx_model.tune.losses import JUDGED_AT_ONCE
from mlx_model.weights.recipes import Recipe

SEGMENTS = (1024, 512, 256, 128, 64)
"""Tokens that a layer may compute at once, best first."""
_ON_CPU = 256
"""Tokens of a segment on a CPU, where larger ones take memory and gain no speed."""

_FLOAT32 = 4
"""Bytes of a number."""
_COPIES = 5
"""float32 copies of the adapter: its matrices, those laid over the model, Adam's two moments, gradients."""


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """Bytes by use. `weights`: the model's; `adapter`: its matrices with optimizer and gradients; `borders`:
    the hidden states kept between layers; `layer`: what one segment of one layer takes with its gradients;
    `head`: the logits of some positions. `length`: tokens of a text; `segment`: tokens that a layer computes at
    once; `budget`: what may be used."""

    length: int
    segment: int
    weights: int
    adapter: int
    borders: int
    layer: int
    head: int
    budget: int
    widened: bool

    @property
    def peak(self) -> int:
        """The most that is held at once: the head is computed before the first layer goes backward."""
        return self.weights + self.adapter + self.borders + max(self.layer, self.head)

    @property
    def fits(self) -> bool:
        """Whether the peak is within the budget."""
        return self.peak <= self.budget


def plan_tuning(
    model: Model, machine: Machine, shape: Shape, length: int, *, chunk: int = 64, texts: int = 1
) -> TuningPlan:
    """The plan with the largest segment that fits, or with the smallest. `length`: tokens of a text; `texts`:
    how many are compared with each other in an example. Raises RequestError where nothing would be adapted."""
    plans = [
        _plan(model, machine, shape, length, segment=segment, chunk=chunk, texts=texts)
        for segment in SEGMENTS
        if segment <= _ON_CPU or not model.arithmetic.stepwise
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
        layer=_layer(config, length, segment, min(chunk, segment), float_bytes),
        head=logits,
        budget=plan_memory(model, machine, Wishes(context=length, snapshots=0)).budget,
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


def _layer(config: ModelConfig, length: int, segment: int, chunk: int, float_bytes: int) -> int:
    """The largest layer: its token mixer and its feed-forward network, of which all that the gradient needs is
    held at once."""
    kinds = {kind: index for index, kind in enumerate(config.layer_types)}
    return max(
        _feed_forward(config, segment, float_bytes, sparse=config.is_sparse(index))
        + (
            _delta_net(config, length, segment, chunk)
            if config.is_linear(index)
            else _attention(config, length, segment, float_bytes)
        )
        for index in kinds.values()
    )


def _feed_forward(config: ModelConfig, segment: int, float_bytes: int, *, sparse: bool) -> int:
    if not sparse:
        token = 6 * config.hidden_size + 5 * config.intermediate_size
        return segment * token * float_bytes
    chosen = config.num_experts_per_tok
    token = 3 * chosen * config.hidden_size + 8 * chosen * config.moe_intermediate_size
    token += 6 * config.hidden_size + 8 * config.shared_expert_intermediate_size
    return segment * token * float_bytes


def _delta_net(config: ModelConfig, length: int, segment: int, chunk: int) -> int:
    """In float32; and the states between segments and between chunks."""
    heads, width = config.linear_num_value_heads, config.linear_value_dim
    token = 8 * config.conv_dim + 12 * width + 12 * heads * chunk
    state = heads * config.linear_key_head_dim * config.linear_value_head_dim
    states = 2 * (length // segment) + 3 * (segment // chunk)
    return segment * token * _FLOAT32 + states * state * _FLOAT32


def _attention(config: ModelConfig, length: int, segment: int, float_bytes: int) -> int:
    """The scores of two segments in float32; keys and values of the whole text with their gradients; and the
    projections."""
    queries = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    scores = 5 * config.num_attention_heads * segment * segment * _FLOAT32
    return scores + segment * 20 * queries * _FLOAT32 + 6 * length * keys * float_bytes
