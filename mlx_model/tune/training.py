"""Tuning a model: an adapter trained, resumed, judged and published."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import mlx.core as mx

from mlx_model.engine.loading import load_qwen3_next
from mlx_model.errors import CheckpointError
from mlx_model.memory.device import default_dtype, prepare_mlx
from mlx_model.train.checkpointing import TrainingDirectory, open_training, publish, run_fingerprint
from mlx_model.train.steps import Report, Schedule, Step, descend
from mlx_model.tune.adapters.matrices import AdaptedModel, Tensors
from mlx_model.tune.adapters.published import write_adapter
from mlx_model.tune.adapters.targets import Shape, sites
from mlx_model.tune.beginning import Beginning, keep_beginning, read_beginning
from mlx_model.tune.card import write_card
from mlx_model.tune.data.reading import Material
from mlx_model.tune.gradients import Means, Tuner
from mlx_model.tune.losses import Likelihood, Objective
from mlx_model.tune.preference import Preferred, preferred
from mlx_model.tune.verdict import Losses, Verdict, by_source, judged, mean
from mlx_model.weights.checkpoint import Checkpoint, is_mtp, open_checkpoint

_LOOKS = 10
"""How often, over the whole run, the held-out loss is looked at."""
_LOOKED_AT = 8
"""Held-out examples of such a look. Before and after, all are judged."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """The options of a run. `options`: what else the material follows from, so that another run is told from
    this one; `kept_every`: seconds between two saves."""

    model: Path
    out: Path
    shape: Shape
    schedule: Schedule
    options: Mapping[str, Any]
    kept_every: float = 60.0


@dataclass(frozen=True, slots=True)
class Tuned:
    """The result. `loss`: of training at the end, in nats; `tokens`: that counted in an epoch; `peak`: bytes
    that MLX held at most."""

    directory: Path
    steps: int
    loss: float
    tokens: int
    made_of: tuple[str, ...]
    verdict: Verdict
    peak: int
    by_source: tuple[Verdict, ...] = ()
    """The verdict on what was held out of each source, in the order of `made_of`."""
    preferred: Preferred | None = None
    """Of held-out pairs, where there are any."""
    has_mtp: bool = False
    """Whether the model drafts with an MTP layer, which can be fitted again to the adapter."""


def tune(
    tuning: Tuning,
    read: Callable[[], Material],
    means: Means,
    report: Report,
    objective: Objective | None = None,
) -> Tuned:
    """Trains an adapter, or resumes an interrupted run, and publishes it. `read` gives the examples, and is
    called only where the run does not have them yet; a run that is resumed keeps its `means` too. Raises
    KeyboardInterrupt when it is interrupted, and RequestError, ConfigError or CheckpointError."""
    prepare_mlx()
    objective = objective or Likelihood()
    checkpoint = open_checkpoint(tuning.model)
    found = sites(checkpoint.config, tuning.shape)
    dtype = default_dtype(checkpoint.config.dtype)
    with open_training(tuning.out, _fingerprint(tuning, checkpoint, dtype, objective)) as staging:
        beginning = read_beginning(staging)
        if beginning is None:
            beginning = Beginning(read(), means)
            keep_beginning(staging, beginning)
        material, means = beginning.material, beginning.means
        model = load_qwen3_next(
            without_mtp(checkpoint),
            widened=means.widened,
            for_gradients=True,
            progress=lambda done, total: report("Loading the model", done, total, ""),
        )
        tuner = Tuner(AdaptedModel(model, found, tuning.shape), objective, means)
        tensors = tuner.adapted.initial(tuning.schedule.seed)
        if not staging.progress.before:
            staging.note(before=tuple(loss for loss, _ in _held_out(tuner, tensors, material, report)))
        fitted = descend(
            _computed(tuner, material, tuning.schedule),
            tensors,
            tuning.schedule,
            staging,
            kept_every=tuning.kept_every,
            report=report,
        )
        after = _held_out(tuner, fitted.parameters, material, report)
        before = [(loss, size) for loss, (_, size) in zip(staging.progress.before, after, strict=True)]
        tuned = Tuned(
            tuning.out,
            fitted.step,
            fitted.loss,
            sum(objective.size(example) for example in material.training),
            material.made_of,
            judged(before, after),
            mx.get_peak_memory(),
            by_source(before, after, material.shares),
            preferred(tuner.adapted, fitted.parameters, means, material.held_out),
            checkpoint.has_mtp,
        )
        _write(staging, tuner, fitted.parameters, tuning, tuned)
        publish(staging, tuned)
    return tuned


def without_mtp(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint without its MTP layer, which has no part in a tuning."""
    return replace(
        checkpoint, stored=tuple(item for item in checkpoint.stored if not is_mtp(item)), has_mtp=False
    )


def _computed(tuner: Tuner, material: Material, schedule: Schedule) -> Callable[[Tensors, int], Step]:
    looked = material.held_out[:_LOOKED_AT]
    every = max(1, schedule.steps // _LOOKS)
    said = ""

    def computed(tensors: Tensors, step: int) -> Step:
        nonlocal said
        began = time.monotonic()
        batch = [material.training[index] for index in schedule.sequences(step, len(material.training))]
        gradients, loss = tuner.gradients(tensors, batch)
        mx.eval(gradients)
        tokens = sum(len(text.tokens) for example in batch for text in example)
        rate = tokens / max(time.monotonic() - began, 1e-9)
        if not said or (step + 1) % every == 0:
            said = f"held out {mean(tuner.losses(tensors, looked)):.3f}"
        return Step(gradients, loss, f"{said}, {rate:,.0f} tokens/s, {mx.get_peak_memory() / 1e9:.1f} GB")

    return computed


def _held_out(tuner: Tuner, tensors: Tensors, material: Material, report: Report) -> Losses:
    losses: list[tuple[float, int]] = []
    count = len(material.held_out)
    for done, example in enumerate(material.held_out):
        report("Measuring", done, count, "")
        losses += tuner.losses(tensors, [example])
    report("Measuring", count, count, "")
    return losses


def _write(staging: TrainingDirectory, tuner: Tuner, tensors: Tensors, tuning: Tuning, tuned: Tuned) -> None:
    told = {
        "base": tuning.model.resolve().name,
        "made_of": list(tuned.made_of),
        "steps": tuned.steps,
        "tokens": tuned.tokens,
        "objective": tuner.objective.name,
        "schedule": asdict(tuning.schedule),
        "held_out": asdict(tuned.verdict),
        "by_source": [asdict(verdict) for verdict in tuned.by_source],
        **({} if tuned.preferred is None else {"preferred": asdict(tuned.preferred)}),
    }
    try:
        staging.result.mkdir(exist_ok=True)
        write_adapter(tuner.adapted, tensors, staging.result, told)
        write_card(staging.result, tuning.shape, told)
    except OSError as error:
        raise CheckpointError(f"{staging.result} cannot be written: {error}.") from None


def _fingerprint(tuning: Tuning, checkpoint: Checkpoint, dtype: str, objective: Objective) -> str:
    own = {
        "options": dict(tuning.options),
        "shape": repr(tuning.shape),
        "schedule": repr(tuning.schedule),
        "objective": objective.name,
        "dtype": dtype,
    }
    return run_fingerprint(own, checkpoint)
