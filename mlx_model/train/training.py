"""Training an MTP layer for a frozen model.

First the model runs over the text once, and its hidden states are written to disk. Then the layer is trained on
them, with only the model's embedding and head in memory beside it. The loss at every position is the
Kullback-Leibler divergence from the model's own distribution, for several drafts in a row, each computed from
the layer's own state for the draft before.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import mlx.core as mx

from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.engine.loading import in_dtype, load_qwen3_next
from mlx_model.errors import CheckpointError, RequestError
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Linear, Matrix
from mlx_model.memory.device import default_dtype, prepare_mlx
from mlx_model.train.checkpointing import (
    HiddenStates,
    TrainingDirectory,
    open_training,
    publish,
    run_fingerprint,
)
from mlx_model.train.corpus import Corpus, read_corpus
from mlx_model.train.head import Judge, initial_head, stored_head
from mlx_model.train.linked import write_linked
from mlx_model.train.steps import DEPTH, Material, Report, Schedule, acceptance, fit
from mlx_model.weights.checkpoint import Checkpoint, is_mtp, open_checkpoint, open_mtp, stored_name
from mlx_model.weights.experts.residency import Residency
from mlx_model.weights.layout import mtp_items

_FLOAT32 = 4
"""Bytes of a number."""


@dataclass(frozen=True, slots=True)
class Training:
    """The options of a run. `length`: tokens of a sequence; `held_out`: the share (0 to 1) of the text for
    evaluation only; `graft`: a checkpoint whose MTP layer to begin from; `kept_every`: seconds between two
    saves."""

    model: Path
    data: tuple[Path, ...]
    out: Path
    schedule: Schedule
    length: int
    held_out: float
    graft: Path | None = None
    kept_every: float = 300.0


@dataclass(frozen=True, slots=True)
class Means:
    """The memory plan for collecting hidden states: prompt tokens computed at once, experts of each layer in
    memory (None: all), and whether packed weights are widened."""

    chunk: int
    expert_slots: int | None = None
    widened: bool = False


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
    if training.graft is not None:
        # Its errors should not come after the model has run for hours.
        open_mtp(training.graft, checkpoint.config)
    dtype: mx.Dtype = getattr(mx, default_dtype(checkpoint.config.dtype))
    with open_training(training.out, _fingerprint(training, checkpoint, dtype)) as staging:
        corpus = staging.corpus()
        if corpus is None:
            corpus = _read(training)
            shape = (*corpus.sequences.shape, checkpoint.config.hidden_size)
            _check_space(staging, checkpoint, staging.hidden_states(shape, dtype))
            staging.keep_corpus(corpus)
        hidden = staging.hidden_states((*corpus.sequences.shape, checkpoint.config.hidden_size), dtype)
        _collect(checkpoint, corpus, hidden, staging, means=means, report=report)
        material = _material(checkpoint, corpus, hidden)
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
        write_linked(checkpoint, fitted.parameters, theta, source, staging.result)
        loss, steps = fitted.loss, fitted.step
        del parameters, fitted
        # Measured on the stored layer, which is rounded or packed.
        after = acceptance(material, stored_head(open_checkpoint(staging.result)), report)
        before = staging.progress.before
        publish(staging, training.out)
    tokens, held_out = corpus.sequences.size, corpus.held_out * corpus.sequences.shape[1]
    return Trained(training.out, began, corpus.files, tokens - held_out, held_out, steps, loss, before, after)


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


def _collect(
    checkpoint: Checkpoint,
    corpus: Corpus,
    hidden: HiddenStates,
    staging: TrainingDirectory,
    *,
    means: Means,
    report: Report,
) -> None:
    """Runs the model over the sequences whose hidden states are not on disk yet, and writes them."""
    count = len(corpus.sequences)
    if staging.progress.collected == count:
        return
    trunk = replace(
        checkpoint, stored=tuple(item for item in checkpoint.stored if not is_mtp(item)), has_mtp=False
    )
    residency = None
    if means.expert_slots is not None and means.expert_slots < checkpoint.config.num_experts:
        residency = Residency(trunk, means.expert_slots, hidden.dtype)
    model = load_qwen3_next(
        trunk,
        residency=residency,
        widened=means.widened,
        progress=lambda done, total: report("Loading the model", done, total, ""),
    )
    try:
        for index in range(staging.progress.collected, count):
            report("Reading the text", index, count, f"{index} of {count} sequences")
            state = model.state()
            tokens = mx.array(corpus.sequences[index][None])
            parts = []
            for start in range(0, tokens.shape[1], means.chunk):
                parts.append(model.hidden(tokens[:, start : start + means.chunk], state))
                mx.eval(parts[-1], state.arrays())
            hidden.write(index, mx.concatenate(parts, axis=1)[0])
            staging.note(collected=index + 1)
        report("Reading the text", count, count, f"{count} sequences")
    finally:
        if residency is not None:
            residency.close()
        del model
        mx.clear_cache()


def _material(checkpoint: Checkpoint, corpus: Corpus, hidden: HiddenStates) -> Material:
    """The training data, with the model's embedding and head in memory."""
    config, dtype = checkpoint.config, hidden.dtype
    ends = replace(
        checkpoint,
        stored=tuple(
            item for item in checkpoint.stored if stored_name(item) in ("model.embed_tokens", "lm_head")
        ),
    )
    tensors = {name: in_dtype(name, tensor, dtype) for name, tensor in ends.tensors()}
    mx.eval(tensors)
    parameters = Parameters(tensors, ends.quantization)
    embedding = Matrix(parameters.scope("model").scope("embed_tokens"), config.vocab_size, config.hidden_size)
    head = (
        embedding.project
        if config.tie_word_embeddings
        else Linear(parameters.scope("lm_head"), config.vocab_size, config.hidden_size)
    )
    return Material(config, corpus, hidden, lambda tokens: embedding.rows(tokens).astype(dtype), Judge(head))


def _check_space(staging: TrainingDirectory, checkpoint: Checkpoint, hidden: HiddenStates) -> None:
    layer = sum(item.parameters for item in mtp_items(checkpoint.config))
    # Weights and Adam's two moments, twice while they are saved; and the result.
    needed = hidden.nbytes + (2 * 3 + 1) * _FLOAT32 * layer
    free = shutil.disk_usage(staging.directory).free
    if free < needed:
        raise CheckpointError(
            f"Training needs {needed / 1e9:.1f} GB meanwhile on the disk of {staging.directory.parent}, which "
            f"has {free / 1e9:.1f} GB free; fewer --steps or a smaller --batch need less."
        )


def _fingerprint(training: Training, checkpoint: Checkpoint, dtype: mx.Dtype) -> str:
    own = {
        "schedule": repr(training.schedule),
        "length": training.length,
        "held_out": training.held_out,
        "data": sorted(str(path.resolve()) for path in training.data),
        "graft": None if training.graft is None else str(training.graft.resolve()),
        "dtype": str(dtype),
    }
    return run_fingerprint(own, checkpoint)
