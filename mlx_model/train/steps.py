"""The training loop: gradients of a batch of sequences, and Adam's updates (arXiv 1412.6980)."""

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

import mlx.core as mx
import numpy as np
from mlx.optimizers import Adam

from mlx_model.config.model_config import ModelConfig
from mlx_model.train.checkpointing import Fitted, HiddenStates, TrainingDirectory
from mlx_model.train.corpus import Corpus
from mlx_model.train.head import Judge, Tensors, unroll

DEPTH = 3
"""Drafts in a row that the layer is trained for."""

_WEIGHTS = tuple(0.5**draft for draft in range(DEPTH))
"""Weights of the drafts' losses: a further draft is of use only where those before it are accepted."""
_BETAS = [0.9, 0.95]
"""Adam's, as usual for language models (arXiv 2005.14165, appendix B)."""
_LARGEST_GRADIENT = 1.0
"""Gradients are clipped to this norm."""
_WARM_UP_SHARE = 20
"""The learning rate rises during the first twentieth of the steps."""
_LOSS_DECAY = 0.95
"""Of the moving average of the loss."""
SLAB_BYTES = 64 << 20
"""Bytes of a parameter that are updated at once."""

Report = Callable[[str, int, int, str], None]
"""Called with the stage's name, its units done, its units in all, and a note."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The number of steps, sequences of a step, peak learning rate, and seed of the order of sequences."""

    steps: int
    batch: int
    learning_rate: float
    seed: int

    def rate(self, step: int) -> float:
        """The learning rate of a step: a linear warm-up, times half a cosine down to 0."""
        warm_up = max(1, self.steps // _WARM_UP_SHARE)
        falling = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.learning_rate * min(1.0, (step + 1) / warm_up) * falling

    def sequences(self, step: int, count: int) -> list[int]:
        """Indices of the `batch` sequences of a step, out of `count`, which are permuted anew each epoch."""
        chosen = []
        for number in range(step * self.batch, (step + 1) * self.batch):
            epoch, index = divmod(number, count)
            chosen.append(int(np.random.default_rng((self.seed, epoch)).permutation(count)[index]))
        return chosen


class Trainable(Protocol):
    """What `fit` trains."""

    @property
    def dtype(self) -> mx.Dtype:
        """The dtype to compute in."""
        ...

    @property
    def training(self) -> int:
        """How many sequences there are to train on."""
        ...

    def gradients(self, parameters: Tensors, index: int, step: int) -> tuple[Tensors, float, int, int]:
        """Of one sequence, by parameter, of the loss divided by the positions that it is taken over; the first
        draft's loss in nats, summed over positions; at how many positions it agrees with the model; and how
        many positions there are. Raises CheckpointError."""
        ...


@dataclass(frozen=True, slots=True)
class Material:
    """The training data: sequences, the model's hidden states of them, its embedding, and the loss over its
    head."""

    config: ModelConfig
    corpus: Corpus
    hidden: HiddenStates
    embed: Callable[[mx.array], mx.array]
    judge: Judge

    @property
    def training(self) -> int:
        """How many sequences, from the first on, are for training."""
        return len(self.corpus.sequences) - self.corpus.held_out

    @property
    def dtype(self) -> mx.Dtype:
        """Of the hidden states."""
        return self.hidden.dtype

    def sequence(self, index: int) -> tuple[mx.array, mx.array]:
        """Embeddings and hidden states of one sequence, each [1, length, hidden]. Raises CheckpointError."""
        return self.embed(mx.array(self.corpus.sequences[index][None])), self.hidden.read(index)

    def gradients(self, parameters: Tensors, index: int, step: int) -> tuple[Tensors, float, int, int]:  # noqa: ARG002
        """As Trainable has it."""
        embeddings, hidden = self.sequence(index)
        count = hidden.shape[1] - DEPTH

        def forward(tensors: Tensors) -> list[mx.array]:
            return unroll(self.config, tensors, embeddings, hidden, DEPTH)

        wanted = [_wanted(hidden, draft) for draft in range(DEPTH)]
        weights = [weight / count for weight in _WEIGHTS]
        return *pulled_back(self.judge, forward, parameters, wanted, weights), count


def fit(
    material: Trainable,
    parameters: Tensors,
    schedule: Schedule,
    directory: TrainingDirectory,
    *,
    kept_every: float,
    report: Report,
) -> Fitted:
    """The layer after all steps: see `descend`."""

    def computed(parameters: Tensors, step: int) -> Step:
        batch = schedule.sequences(step, material.training)
        gradients, loss, agreed = _gradients(material, parameters, batch, step)
        return Step(gradients, loss, f"{agreed:.0%} right")

    return descend(computed, parameters, schedule, directory, kept_every=kept_every, report=report)


@dataclass(frozen=True, slots=True)
class Step:
    """A batch's gradients in float32, its loss in nats, and what else to say of it."""

    gradients: Tensors
    loss: float
    said: str


def descend(
    computed: Callable[[Tensors, int], Step],
    parameters: Tensors,
    schedule: Schedule,
    directory: TrainingDirectory,
    *,
    kept_every: float,
    report: Report,
) -> Fitted:
    """The parameters after all steps, resumed from those in `directory` where there are any. `computed`: what
    the batch of a step gives.

    Parameters and optimizer are saved there every `kept_every` seconds, and on Ctrl-C, which then raises
    KeyboardInterrupt. `parameters` is emptied, so that they are in memory once. Raises CheckpointError.
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
            now = computed(parameters, step)
            loss = now.loss if math.isnan(loss) else _LOSS_DECAY * loss + (1 - _LOSS_DECAY) * now.loss
            optimizer.learning_rate = schedule.rate(step)
            _update(optimizer, parameters, now.gradients)
            report(
                "Training",
                step + 1,
                schedule.steps,
                f"step {step + 1} of {schedule.steps}, loss {loss:.3f}, {now.said}",
            )
            if asked() or time.monotonic() - kept >= kept_every:
                directory.keep_fitted(fitted(step + 1))
                kept = time.monotonic()
            if asked():
                raise KeyboardInterrupt
    return fitted(schedule.steps)


def acceptance(material: Material, parameters: Tensors, report: Report) -> tuple[float, ...]:
    """By draft, over the sequences held out: the share (0 to 1) of positions at which the draft is the model's
    most likely token, given the text up to it."""
    agreed, positions = [0] * DEPTH, 0
    for done, index in enumerate(range(material.training, len(material.corpus.sequences))):
        report("Measuring", done, material.corpus.held_out, "")
        embeddings, hidden = material.sequence(index)
        states = unroll(material.config, parameters, embeddings, hidden, DEPTH)
        for draft, state in enumerate(states):
            agreed[draft] += material.judge(state, _wanted(hidden, draft))[1]
        positions += states[0].shape[1]
    report("Measuring", material.corpus.held_out, material.corpus.held_out, "")
    return tuple(count / positions for count in agreed)


def _wanted(hidden: mx.array, draft: int) -> mx.array:
    """The model's hidden states that are the targets of a draft (counted from 0), [1, n - DEPTH, hidden]."""
    count = hidden.shape[1] - DEPTH
    return hidden[:, draft + 1 : draft + 1 + count]


def _gradients(
    material: Trainable, parameters: Tensors, sequences: Sequence[int], step: int
) -> tuple[Tensors, float, float]:
    """A batch's gradients in float32, the first draft's loss in nats per position, and its share of positions
    at which it agrees with the model."""
    total: Tensors = {}
    # Gradients are taken in the dtype of the computation and summed in float32.
    computed = {name: tensor.astype(material.dtype) for name, tensor in parameters.items()}
    mx.eval(computed)
    loss, agreed, positions = 0.0, 0, 0
    for index in sequences:
        gradients, divergence, right, count = material.gradients(computed, index, step)
        loss, agreed, positions = loss + divergence, agreed + right, positions + count
        for name in list(gradients):
            gradient = gradients.pop(name).astype(mx.float32) / len(sequences)
            total[name] = total[name] + gradient if name in total else gradient
            mx.eval(total[name])
    return total, loss / positions, agreed / positions


def pulled_back(
    judge: Judge,
    forward: Callable[[Tensors], Sequence[mx.array]],
    parameters: Tensors,
    wanted: Sequence[mx.array],
    weights: Sequence[float],
) -> tuple[Tensors, float, int]:
    """The gradients of the drafts' losses by parameter; and of the first draft the loss in nats, summed, and
    how often it agrees with the model. `forward` gives the states of each draft, `wanted` the model's hidden
    states that they are judged by, `weights` what each draft's loss counts."""
    # First without gradients, so that the logits of only a few positions are in memory at once.
    states = forward(parameters)
    mx.eval(states)
    loss, agreed, pulls = 0.0, 0, []
    for draft, state in enumerate(states):
        divergence, right, by_state = judge(state, wanted[draft])
        pulls.append(by_state.astype(mx.float32) * weights[draft])
        if draft == 0:
            loss, agreed = divergence, right
    mx.eval(pulls)
    del states

    def pulled(tensors: Tensors) -> mx.array:
        again = forward(tensors)
        parts = [(state.astype(mx.float32) * pull).sum() for state, pull in zip(again, pulls, strict=True)]
        return mx.stack(parts).sum()

    gradients: Tensors = mx.grad(pulled)(parameters)
    mx.eval(gradients)
    return gradients, loss, agreed


def _update(optimizer: Adam, parameters: Tensors, gradients: Tensors) -> None:
    """One step of Adam with clipped gradients, in place; `gradients` is emptied. It works slab by slab, so that
    its intermediate arrays are small beside a bank of experts."""
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
            # MLX writes in place where no other array shares the buffer.
            parameter[slab] = updated
            for moment, tensor in moments.items():
                tensor[slab] = own[moment]
            mx.eval(parameter, moments)


def _slabs(tensor: mx.array) -> Iterator[slice]:
    """Slices of the leading axis of at most about SLAB_BYTES."""
    step = max(1, tensor.shape[0] * SLAB_BYTES // tensor.nbytes)
    for start in range(0, tensor.shape[0], step):
        yield slice(start, start + step)


@contextmanager
def _interrupts_asked() -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether Ctrl-C was pressed, so that the step can finish; a second Ctrl-C
    raises KeyboardInterrupt as usual."""
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
