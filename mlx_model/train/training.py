"""Training an MTP layer for a frozen model.

First the model runs over the text once, and its hidden states are written to disk. Then the layer is trained on
them, with only the model's embedding and head in memory beside it. The loss at every position is the
Kullback-Leibler divergence from the model's own distribution, for several drafts in a row, each computed from
the layer's own state for the draft before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlx.core as mx

from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.errors import RequestError
from mlx_model.memory.device import default_dtype, prepare_mlx
from mlx_model.state.disk.fingerprint import adapter_fingerprint
from mlx_model.train.checkpointing import HiddenStates, open_training, publish, run_fingerprint
from mlx_model.train.corpus import Corpus, read_corpus
from mlx_model.train.head import Judge, initial_head, stored_head
from mlx_model.train.linked import write_layer, write_linked
from mlx_model.train.reading import Means, check_space, collect, ends
from mlx_model.train.steps import DEPTH, Material, Report, Schedule, acceptance, fit
from mlx_model.weights.adapter import ADAPTER_FILES
from mlx_model.weights.checkpoint import Checkpoint, open_checkpoint, open_mtp
from mlx_model.weights.layout import mtp_items


@dataclass(frozen=True, slots=True)
class Training:
    """The options of a run. `length`: tokens of a sequence; `held_out`: the share (0 to 1) of the text for
    evaluation only; `graft`: a checkpoint whose MTP layer to begin from; `adapter`: what the model is computed
    under, for which its own layer is fitted again; `kept_every`: seconds between two saves."""

    model: Path
    data: tuple[Path, ...]
    out: Path
    schedule: Schedule
    length: int
    held_out: float
    graft: Path | None = None
    adapter: Path | None = None
    kept_every: float = 300.0


@dataclass(frozen=True, slots=True)
class Trained:
    """The result. `began`: the origin of the initial layer; `loss`: of the first draft at the end, in nats;
    `before` and `after`: acceptance rates by draft, on `held_out_tokens` tokens that were not trained on."""

    directory: Path
    began: str
    files: int
    tokens: int
    held_out_tokens: int
    steps: int
    loss: float
    before: tuple[float, ...]
    after: tuple[float, ...]


def train_mtp(training: Training, means: Means, report: Report) -> Trained:
    """Trains, or resumes an interrupted run. Raises KeyboardInterrupt when it is interrupted, and RequestError,
    ConfigError or CheckpointError."""
    prepare_mlx()
    checkpoint = open_checkpoint(training.model)
    if training.adapter is not None and not checkpoint.has_mtp:
        raise RequestError(f"{training.model} has no MTP layer that could be fitted again to an adapter.")
    if training.graft is not None:
        # Its errors should not come after the model has run for hours.
        open_mtp(training.graft, checkpoint.config)
    dtype: mx.Dtype = getattr(mx, default_dtype(checkpoint.config.dtype))
    with open_training(training.out, run_fingerprint(_options(training, dtype), checkpoint)) as staging:
        corpus = staging.corpus()
        if corpus is None:
            corpus = _read(training)
            shape = (*corpus.sequences.shape, checkpoint.config.hidden_size)
            layer = sum(item.parameters for item in mtp_items(checkpoint.config))
            check_space(staging, staging.hidden_states(shape, dtype), layer)
            staging.keep_corpus(corpus)
        hidden = staging.hidden_states((*corpus.sequences.shape, checkpoint.config.hidden_size), dtype)
        adapter = training.adapter
        collect(checkpoint, corpus, hidden, staging, means=means, report=report, adapter=adapter)
        material = _material(checkpoint, corpus, hidden, adapter)
        parameters, began, theta = initial_head(checkpoint, training.graft, training.schedule.seed)
        config = checkpoint.config.model_copy(update={"mtp_rope_theta": theta})
        material = replace(material, config=config)
        if not staging.progress.before:
            staging.note(before=acceptance(material, parameters, report))
        fitted = fit(
            material,
            parameters,
            training.schedule,
            staging,
            kept_every=training.kept_every,
            report=report,
        )
        source = began if training.graft is not None else checkpoint.config.mtp_source
        write = write_linked if adapter is None else write_layer
        write(checkpoint, fitted.parameters, theta, source, staging.result)
        loss, steps = fitted.loss, fitted.step
        del parameters, fitted
        # Measured on the stored layer, which is rounded or packed.
        stored = replace(checkpoint, stored=open_mtp(staging.result, checkpoint.config), has_mtp=True)
        after = acceptance(material, stored_head(stored), report)
        held_out = corpus.held_out * corpus.sequences.shape[1]
        trained = Trained(
            training.out,
            began,
            corpus.files,
            corpus.sequences.size - held_out,
            held_out,
            steps,
            loss,
            staging.progress.before,
            after,
        )
        publish(staging, trained)
    return trained


def _read(training: Training) -> Corpus:
    if training.length <= DEPTH:
        raise RequestError(f"--sequence-length must be more than {DEPTH}: so many drafts follow each other.")
    return read_corpus(
        training.data,
        Tokenizer.from_directory(training.model),
        length=training.length,
        most=training.schedule.steps * training.schedule.batch,
        held_out=training.held_out,
        seed=training.schedule.seed,
    )


def _material(checkpoint: Checkpoint, corpus: Corpus, hidden: HiddenStates, adapter: Path | None) -> Material:
    embed, head = ends(checkpoint, hidden.dtype, adapter)
    return Material(checkpoint.config, corpus, hidden, embed, Judge(head))


def _options(training: Training, dtype: mx.Dtype) -> Mapping[str, Any]:
    return {
        "schedule": repr(training.schedule),
        "length": training.length,
        "held_out": training.held_out,
        "data": sorted(str(path.resolve()) for path in training.data),
        "graft": None if training.graft is None else str(training.graft.resolve()),
        **(
            {}
            if training.adapter is None
            else {"adapter": adapter_fingerprint(training.adapter, ADAPTER_FILES).hex()}
        ),
        "dtype": str(dtype),
    }
