"""Reading the training text with the frozen model: its hidden states go to disk, sequence by sequence."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import mlx.core as mx

from mlx_model.engine.adapters import prepared
from mlx_model.engine.loading import in_dtype, load_qwen3_next
from mlx_model.errors import CheckpointError
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Linear, LinearMap, Matrix
from mlx_model.state.draft_context import WatchedLayers
from mlx_model.train.checkpointing import HiddenStates, TrainingDirectory
from mlx_model.train.corpus import Corpus
from mlx_model.train.steps import Report
from mlx_model.weights.adapter import read_adapter
from mlx_model.weights.checkpoint import Checkpoint, is_mtp, stored_name
from mlx_model.weights.experts.residency import Residency

_FLOAT32 = 4
"""Bytes of a number."""


@dataclass(frozen=True, slots=True)
class Means:
    """The memory plan for collecting hidden states: prompt tokens computed at once, experts of each layer in
    memory (None: all), and whether packed weights are widened."""

    chunk: int
    expert_slots: int | None = None
    widened: bool = False


def collect(
    checkpoint: Checkpoint,
    corpus: Corpus,
    hidden: HiddenStates,
    staging: TrainingDirectory,
    *,
    means: Means,
    report: Report,
    layers: tuple[int, ...] = (),
    adapter: Path | None = None,
) -> None:
    """Runs the model over the sequences whose hidden states are not on disk yet, and writes them: the outputs
    of `layers` (from 0 on), and after them the last hidden states, side by side. `adapter`: what the model is
    computed under. Raises ConfigError or CheckpointError."""
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
        if adapter is not None:
            model.set_adapter(prepared(model, read_adapter(adapter, model.config)))
        for index in range(staging.progress.collected, count):
            report("Reading the text", index, count, f"{index} of {count} sequences")
            state = model.state()
            state.watched = watched = WatchedLayers(layers)
            tokens = mx.array(corpus.sequences[index][None])
            parts = []
            for start in range(0, tokens.shape[1], means.chunk):
                last = model.hidden(tokens[:, start : start + means.chunk], state)
                parts.append(mx.concatenate([watched.take(last.shape[1]), last], axis=-1) if layers else last)
                mx.eval(parts[-1], state.arrays())
            hidden.write(index, mx.concatenate(parts, axis=1)[0])
            staging.note(collected=index + 1)
        report("Reading the text", count, count, f"{count} sequences")
    finally:
        if residency is not None:
            residency.close()
        del model
        mx.clear_cache()


def ends(checkpoint: Checkpoint, dtype: mx.Dtype, adapter: Path | None = None) -> tuple[LinearMap, LinearMap]:
    """The model's embedding (tokens [...] → [..., hidden] in `dtype`) and its head, which an `adapter` may
    change, in memory."""
    config = checkpoint.config
    part = replace(
        checkpoint,
        stored=tuple(
            item for item in checkpoint.stored if stored_name(item) in ("model.embed_tokens", "lm_head")
        ),
    )
    tensors = {name: in_dtype(name, tensor, dtype) for name, tensor in part.tensors()}
    mx.eval(tensors)
    parameters = Parameters(tensors, part.quantization)
    embedding = Matrix(parameters.scope("model").scope("embed_tokens"), config.vocab_size, config.hidden_size)
    head = (
        embedding.project
        if config.tie_word_embeddings
        else Linear(parameters.scope("lm_head"), config.vocab_size, config.hidden_size)
    )
    update = None if adapter is None else read_adapter(adapter, config).get("lm_head")
    if update is not None and isinstance(head, Linear):
        head.update = head.prepared(update.a, update.b, update.magnitude, dtype)
    return lambda tokens: embedding.rows(tokens).astype(dtype), head


def check_space(staging: TrainingDirectory, hidden: HiddenStates, parameters: int) -> None:
    """Whether the disk has room for the hidden states, and for `parameters` numbers in training. Raises
    CheckpointError."""
    # Weights and Adam's two moments, twice while they are saved; and the result.
    needed = hidden.nbytes + (2 * 3 + 1) * _FLOAT32 * parameters
    free = shutil.disk_usage(staging.directory).free
    if free < needed:
        raise CheckpointError(
            f"Training needs {needed / 1e9:.1f} GB meanwhile on the disk of {staging.directory.parent}, which "
            f"has {free / 1e9:.1f} GB free; fewer --steps or a smaller --batch need less."
        )
