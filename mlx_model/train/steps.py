"""The steps of a training: gradients of a batch of sequences, and what Adam (arXiv 1412.6980) makes of them."""

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import mlx.core as mx
import numpy as np
from mlx.optimizers import Adam

from mlx_model.config.model_config import ModelConfig
from mlx_model.train.checkpointing import Fitted, HiddenStates, TrainingDirectory
from mlx_model.train.corpus import Corpus
from mlx_model.train.head import Judge, Tensors, unroll

DEPTH = 3
"""Drafts in a row that the layer is trained for."""

# A further draft only counts where those before it are right.
_WEIGHTS = tuple(0.5**draft for draft in range(DEPTH))
_BETAS = [0.9, 0.95]
_LARGEST_GRADIENT = 1.0
_WARM_UP_SHARE = 20
_REMEMBERED_LOSSES = 0.95
SLAB_BYTES = 64 << 20

Report = Callable[[str, int, int, str], None]
"""Called with what is being done, how much of it is, of how much, and a note."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a training goes: steps of `batch` sequences each; `learning_rate` is the highest."""

    steps: int
    batch: int
    learning_rate: float
    seed: int

    def rate(self, step: int) -> float:
        """The learning rate of a step: rising at first, then a half cosine down."""
        warm_up = max(1, self.steps // _WARM_UP_SHARE)
        falling = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.learning_rate * min(1.0, (step + 1) / warm_up) * falling

    def sequences(self, step: int, count: int) -> list[int]:
        """Which of `count` sequences a step takes: all of them, in a new order each time, then again."""
        chosen = []
        for place in range(step * self.batch, (step + 1) * self.batch):
            epoch, index = divmod(place, count)
            chosen.append(int(np.random.default_rng((self.seed, epoch)).permutation(count)[index]))
        return chosen


@dataclass(frozen=True, slots=True)
class Material:
    """What a layer is fitted to: sequences with the model's hidden states, and the model's two ends."""

    config: ModelConfig
    corpus: Corpus
    hidden: HiddenStates
    embed: Callable[[mx.array], mx.array]
    judge: Judge

    @property
    def training(self) -> int:
        """How many sequences, from the first on, are trained on."""
        return len(self.corpus.sequences) - self.corpus.held_out

    def sequence(self, index: int) -> tuple[mx.array, mx.array]:
        """Embeddings and hidden states of one, each [1, length, hidden]."""
        return self.embed(mx.array(self.corpus.sequences[index][None])), self.hidden.read(index)


def fit(
    material: Material,
    parameters: Tensors,
    schedule: Schedule,
    directory: TrainingDirectory,
    *,
    kept_every: float,
    report: Report,
) -> Fitted:
    """The layer after all steps, resumed from the weights in `directory` where there are any.

    Weights and optimizer are saved there every `kept_every` seconds, and on Ctrl-C, which then raises
    KeyboardInterrupt. `parameters` is emptied, so that the layer is in memory once. Raises CheckpointError.
    """
    optimizer = Adam(learning_rate=schedule.learning_rate, betas=_BETAS, bias_correction=True)
    known = directory.fitted()
    start, loss = 0, math.nan
    given, parameters = parameters, dict(parameters)
    given.clear()
    if known is not None:
        start, loss, parameters = known.step, known.loss, known.parameters
    optimizer.init(parameters)
    if known is not None:
        optimizer.state["step"] = mx.array(start, mx.uint64)
        for name in parameters:
            optimizer.state[name]["m"], optimizer.state[name]["v"] = known.first[name], known.second[name]
        del known

    def fitted(step: int) -> Fitted:
        first, second = ({name: optimizer.state[name][part] for name in parameters} for part in ("m", "v"))
        return Fitted(step, loss, parameters, first, second)

    kept = time.monotonic()
    with _interrupts_asked() as asked:
        for step in range(start, schedule.steps):
            batch = schedule.sequences(step, material.training)
            gradients, now, agreed = _gradients(material, parameters, batch)
            loss = now if math.isnan(loss) else _REMEMBERED_LOSSES * loss + (1 - _REMEMBERED_LOSSES) * now
            optimizer.learning_rate = schedule.rate(step)
            _update(optimizer, parameters, gradients)
            report(
                "Training",
                step + 1,
                schedule.steps,
                f"step {step + 1} of {schedule.steps}, loss {loss:.3f}, {agreed:.0%} right",
            )
            if asked() or time.monotonic() - kept >= kept_every:
                directory.keep_fitted(fitted(step + 1))
                kept = time.monotonic()
            if asked():
                raise KeyboardInterrupt
    return fitted(schedule.steps)


def acceptance(material: Material, parameters: Tensors, report: Report) -> tuple[float, ...]:
    """Over the sequences held out, by draft: the share of places at which the draft, given the text up to it,
    is what the model itself finds most likely."""
    agreed, places = [0] * DEPTH, 0
    for done, index in enumerate(range(material.training, len(material.corpus.sequences))):
        report("Measuring", done, material.corpus.held_out, "")
        embeddings, hidden = material.sequence(index)
        states = unroll(material.config, parameters, embeddings, hidden, DEPTH)
        for draft, state in enumerate(states):
            agreed[draft] += material.judge(state, _wanted(hidden, draft))[1]
        places += states[0].shape[1]
    report("Measuring", material.corpus.held_out, material.corpus.held_out, "")
    return tuple(count / places for count in agreed)


def _wanted(hidden: mx.array, draft: int) -> mx.array:
    """The model's states at the places where the draft (counted from 0) ought to say the same."""
    count = hidden.shape[1] - DEPTH
    return hidden[:, draft + 1 : draft + 1 + count]


def _gradients(
    material: Material, parameters: Tensors, sequences: Sequence[int]
) -> tuple[Tensors, float, float]:
    """Of a batch: the gradients, the loss of the first draft in nats a place, and how often it was right."""
    total: Tensors = {}
    # Gradients are by what is computed with, in its dtype, and added up in float32.
    dtype = material.hidden.dtype
    computed = {name: tensor.astype(dtype) for name, tensor in parameters.items()}
    mx.eval(computed)
    loss, agreed, places = 0.0, 0, 0
    for index in sequences:
        embeddings, hidden = material.sequence(index)
        # First without gradients, so that the logits of only a few places are ever in memory.
        states = unroll(material.config, computed, embeddings, hidden, DEPTH)
        mx.eval(states)
        count = states[0].shape[1]
        pulls = []
        for draft, state in enumerate(states):
            divergence, right, by_state = material.judge(state, _wanted(hidden, draft))
            pulls.append(by_state.astype(mx.float32) * (_WEIGHTS[draft] / (count * len(sequences))))
            if draft == 0:
                loss, agreed, places = loss + divergence, agreed + right, places + count
        mx.eval(pulls)
        del states

        def pulled(tensors: Tensors, embeddings=embeddings, hidden=hidden, pulls=pulls) -> mx.array:  # type: ignore[no-untyped-def]
            again = unroll(material.config, tensors, embeddings, hidden, DEPTH)
            parts = [(state.astype(mx.float32) * pull).sum() for state, pull in zip(again, pulls, strict=True)]
            return mx.stack(parts).sum()

        gradients = mx.grad(pulled)(computed)
        mx.eval(gradients)
        for name in list(gradients):
            gradient = gradients.pop(name).astype(mx.float32)
            total[name] = total[name] + gradient if name in total else gradient
            mx.eval(total[name])
    return total, loss / places, agreed / places


def _update(optimizer: Adam, parameters: Tensors, gradients: Tensors) -> None:
    """One step of Adam, its gradients no longer than _LARGEST_GRADIENT together; both arguments are used up. A
    slab at a time, so that what is computed on the way is small beside a bank of experts."""
    squares = 0.0
    for gradient in gradients.values():
        for slab in _slabs(gradient):
            squares += float(gradient[slab].square().sum())
    scale = min(1.0, _LARGEST_GRADIENT / (math.sqrt(squares) + 1e-6))
    optimizer.state["step"] = optimizer.step + 1
    for name, parameter in parameters.items():
        gradient, moments = gradients.pop(name), optimizer.state[name]
        for slab in _slabs(parameter):
            own = {moment: tensor[slab] for moment, tensor in moments.items()}
            updated = optimizer.apply_single(gradient[slab] * scale, parameter[slab], own)
            mx.eval(updated, own)
            # Written in place, for nothing else holds them.
            parameter[slab] = updated
            for moment, tensor in moments.items():
                tensor[slab] = own[moment]
            mx.eval(parameter, moments)


def _slabs(tensor: mx.array) -> Iterator[slice]:
    """The leading axis in runs of bounded size."""
    step = max(1, tensor.shape[0] * SLAB_BYTES // tensor.nbytes)
    for start in range(0, tensor.shape[0], step):
        yield slice(start, start + step)


@contextmanager
def _interrupts_asked() -> Iterator[Callable[[], bool]]:
    """Ctrl-C is only noted, for a step to come to its end; pressed again, it is what it always is."""
    asked = False

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
