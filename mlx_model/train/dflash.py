"""Training a DFlash drafter for a frozen model (arXiv 2602.06036).

First the model runs over the text once; the outputs of the layers that the drafter is given, and the last
hidden states, are written to disk. Then the drafter is trained on blocks that begin at tokens drawn anew in
every step. The loss of a draft is the Kullback-Leibler divergence from the model's own distribution, given the
text up to it; later drafts of a block count for less, since they are of use only where those before them are
accepted.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_model.config.dflash_config import ARCHITECTURE, DFlashConfig
from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.drafters.dflash import DFlash
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import LinearMap
from mlx_model.memory.device import default_dtype, prepare_mlx
from mlx_model.train.checkpointing import HiddenStates, Tensors, open_training, publish, run_fingerprint
from mlx_model.train.corpus import Corpus
from mlx_model.train.head import Judge
from mlx_model.train.reading import Means, check_space, collect, ends
from mlx_model.train.steps import Report, Schedule, fit, pulled_back
from mlx_model.weights.checkpoint import open_checkpoint
from mlx_model.weights.drafter import drafter_shapes, write_drafter

_MOST_WATCHED = 5
"""Layers whose outputs the drafter is given, at most; as in the published drafters."""
_HEAD_DIM = 64
_SHARED_KEYS = 4
"""Query heads that share a head of keys."""
_INNER = 3
"""The inner width of feed-forward networks, over the hidden size."""


@dataclass(frozen=True, slots=True)
class DrafterTraining:
    """The options of a run. `read` gives the text of a new run (one that goes on keeps its own), and raises
    RequestError; `data`: what names it; `length`: tokens of a sequence; `layers` and `block`: of the network;
    `kept_every`: seconds between two saves."""

    model: Path
    read: Callable[[], Corpus]
    data: Sequence[str]
    out: Path
    schedule: Schedule
    length: int
    layers: int
    block: int
    mask_token: int
    kept_every: float = 300.0


@dataclass(frozen=True, slots=True)
class TrainedDrafter:
    """The result. `loss`: of the first draft at the end, in nats; `agreed`: by draft, the share (0 to 1) of
    positions at which it is the model's own choice, in `held_out_tokens` tokens that were not trained on;
    `in_a_row`: how many drafts of a block are on average, from the first on."""

    directory: Path
    tokens: int
    held_out_tokens: int
    steps: int
    loss: float
    agreed: tuple[float, ...]
    in_a_row: float


@dataclass(frozen=True, slots=True)
class _Blocks:
    """The training data (see steps.Trainable): sequences, features and hidden states of them, embedding and
    head of the model."""

    config: DFlashConfig
    corpus: Corpus
    hidden: HiddenStates
    embed: LinearMap
    judge: Judge
    seed: int

    @property
    def dtype(self) -> mx.Dtype:
        """Of the hidden states."""
        return self.hidden.dtype

    @property
    def training(self) -> int:
        """How many sequences, from the first on, are for training."""
        return len(self.corpus.sequences) - self.corpus.held_out

    def read(self, index: int, anchors: mx.array) -> tuple[mx.array, mx.array, list[mx.array]]:
        """Of a sequence with blocks at `anchors`: the blocks' embeddings [blocks, block, hidden], the features
        [1, length, watched · hidden], and by draft the model's hidden states that decide its token, each [1,
        blocks, hidden]. Raises CheckpointError."""
        size, block = self.config.hidden_size, self.config.block_size
        features, last = mx.split(self.hidden.read(index), [len(self.config.target_layer_ids) * size], axis=-1)
        first = mx.array(self.corpus.sequences[index])[anchors]
        masks = mx.full((anchors.size, block - 1), self.config.mask_token_id, dtype=first.dtype)
        embeddings = self.embed(mx.concatenate([first[:, None], masks], axis=1))
        return embeddings, features, [last[:, anchors + draft] for draft in range(block - 1)]

    def forward(
        self, parameters: Tensors, embeddings: mx.array, features: mx.array, anchors: mx.array
    ) -> list[mx.array]:
        """By draft, the network's states, each [1, blocks, hidden]."""
        tensors = {name: tensor.astype(self.dtype) for name, tensor in parameters.items()}
        network = DFlash(self.config, Parameters(tensors), self.dtype)
        states = network.at_anchors(embeddings, network.vectors(features), anchors)
        return [states[None, :, draft] for draft in range(1, self.config.block_size)]

    def anchors(self, index: int, step: int) -> mx.array:
        """Where the blocks of a sequence begin in a step: as many as fit beside each other, drawn anew."""
        length, block = self.corpus.sequences.shape[1], self.config.block_size
        drawn = np.random.default_rng((self.seed, step, index))
        places = drawn.choice(np.arange(1, length - block + 2), size=max(1, length // block), replace=False)
        return mx.array(np.sort(places).astype(np.int32))

    def gradients(self, parameters: Tensors, index: int, step: int) -> tuple[Tensors, float, int, int]:
        """As Trainable has it."""
        anchors = self.anchors(index, step)
        embeddings, features, wanted = self.read(index, anchors)

        def forward(tensors: Tensors) -> list[mx.array]:
            return self.forward(tensors, embeddings, features, anchors)

        # The published drafters' weights fall to 1/e within half a block.
        weights = [math.exp(-2 * draft / self.config.block_size) / anchors.size for draft in range(len(wanted))]
        return *pulled_back(self.judge, forward, parameters, wanted, weights), anchors.size

    def agreement(self, parameters: Tensors, report: Report) -> tuple[tuple[float, ...], float]:
        """Over the sequences held out: by draft, the share (0 to 1) of blocks in which it is the model's most
        likely token, given the text up to it; and how many drafts in a row are, from the first on."""
        agreed, in_a_row, blocks = np.zeros(self.config.block_size - 1), 0, 0
        for done in range(self.corpus.held_out):
            report("Measuring", done, self.corpus.held_out, "")
            index = self.training + done
            anchors = self.anchors(index, 0)
            embeddings, features, wanted = self.read(index, anchors)
            states = self.forward(parameters, embeddings, features, anchors)
            same = np.stack([self.judge.same(*pair) for pair in zip(states, wanted, strict=True)])
            agreed += same.sum(axis=1)
            in_a_row += int(np.cumprod(same, axis=0).sum())
            blocks += anchors.size
        report("Measuring", self.corpus.held_out, self.corpus.held_out, "")
        return tuple(float(share) for share in agreed / blocks), in_a_row / blocks


def train_dflash(training: DrafterTraining, means: Means, report: Report) -> TrainedDrafter:
    """Trains, or resumes an interrupted run. Raises KeyboardInterrupt when it is interrupted, and RequestError,
    ConfigError or CheckpointError."""
    prepare_mlx()
    checkpoint = open_checkpoint(training.model)
    dtype: mx.Dtype = getattr(mx, default_dtype(checkpoint.config.dtype))
    published = drafter_config(checkpoint.config, training)
    config = DFlashConfig.parse(published, training.out)
    with open_training(training.out, run_fingerprint(_options(training, dtype), checkpoint)) as staging:
        width = (len(config.target_layer_ids) + 1) * config.hidden_size
        known = staging.corpus()
        corpus = known or training.read()
        hidden = staging.hidden_states((*corpus.sequences.shape, width), dtype)
        if known is None:
            check_space(staging, hidden, sum(math.prod(shape) for shape in drafter_shapes(config).values()))
            staging.keep_corpus(corpus)
        layers = config.target_layer_ids
        collect(checkpoint, corpus, hidden, staging, means=means, report=report, layers=layers)
        embed, head = ends(checkpoint, dtype)
        blocks = _Blocks(config, corpus, hidden, embed, Judge(head), training.schedule.seed)
        fitted = fit(
            blocks,
            _initial(config, training.schedule.seed),
            training.schedule,
            staging,
            kept_every=training.kept_every,
            report=report,
        )
        agreed, in_a_row = blocks.agreement(fitted.parameters, report)
        write_drafter(staging.result, published, config, fitted.parameters)
        held_out = corpus.held_out * training.length
        tokens = corpus.sequences.size - held_out
        trained = TrainedDrafter(training.out, tokens, held_out, fitted.step, fitted.loss, agreed, in_a_row)
        publish(staging, trained)
    return trained


def drafter_config(target: ModelConfig, training: DrafterTraining) -> dict[str, Any]:
    """config.json of a drafter for a model, as drafters are published."""
    layers = target.num_hidden_layers
    watched = min(_MOST_WATCHED, max(1, layers // 2))
    places = np.linspace(min(1, layers - 1), max(0, layers - 2), watched)
    heads = max(1, target.hidden_size // _HEAD_DIM)
    shared = _SHARED_KEYS if heads % _SHARED_KEYS == 0 else 1
    return {
        "architectures": [ARCHITECTURE],
        "model_type": "qwen3",
        "block_size": training.block,
        "dflash_config": {
            "mask_token_id": training.mask_token,
            "target_layer_ids": sorted({int(place) for place in places}),
        },
        "dtype": "float32",
        "attention_bias": False,
        "head_dim": _HEAD_DIM,
        "hidden_act": "silu",
        "hidden_size": target.hidden_size,
        "intermediate_size": _INNER * target.hidden_size,
        "layer_types": ["full_attention"] * training.layers,
        "max_position_embeddings": target.context_length,
        "num_attention_heads": heads,
        "num_hidden_layers": training.layers,
        "num_key_value_heads": heads // shared,
        "num_target_layers": layers,
        "rms_norm_eps": target.rms_norm_eps,
        "rope_theta": target.rope_theta,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "vocab_size": target.vocab_size,
    }


def _initial(config: DFlashConfig, seed: int) -> Tensors:
    """Random matrices that keep the size of what goes through them; what a layer adds begins small."""
    tensors: Tensors = {}
    key = mx.random.key(seed)
    for name, shape in drafter_shapes(config).items():
        key, own = mx.random.split(key)
        if len(shape) == 1:
            tensors[name] = mx.ones(shape)
            continue
        scale = shape[1] ** -0.5
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            scale /= math.sqrt(2 * config.num_hidden_layers)
        tensors[name] = mx.random.normal(shape, key=own) * scale
    mx.eval(tensors)
    return tensors


def _options(training: DrafterTraining, dtype: mx.Dtype) -> Mapping[str, Any]:
    return {
        "schedule": repr(training.schedule),
        "data": sorted(training.data),
        "length": training.length,
        "network": [training.layers, training.block, training.mask_token],
        "dtype": str(dtype),
    }
