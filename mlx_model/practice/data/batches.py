"""Endless batches from a growing folder of transcripts: the same for the same seed and files.

A *stream* is the files of one name (`dense-00.jsonl`, `dense-01.jsonl`, ...), read in order and, after the
last, from the first again in another order of transcripts. A *window* takes a share of its samples from each
stream; its samples are grouped by length.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mlx_model.errors import ConfigError
from mlx_model.practice.data.transcripts import Renderer, Sample

_WINDOW = 240
"""Samples that are sorted by length together: with fewer a tenth of a batch is padding."""
_LENGTH_STEP = 32
"""Batches are padded to a multiple of this, a chunk of the delta rule."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream stands: the pass over its files, the file, and the sample within."""

    turn: int = 0
    file: int = 0
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """Where the batches stand: at the start of a window, and how many steps of it are done."""

    window: int
    places: Mapping[str, Place]
    step: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What batches are made of: tokens in a batch and in a sample at most, the share of each stream, and the
    share of samples that are cut to their core."""

    batch_tokens: int
    longest: int
    shares: Mapping[str, float]
    cut: float
    seed: int


class Batches:
    """The batches of one process."""

    def __init__(self, folder: Path, renderer: Renderer, wanted: Wanted, rank: int, processes: int) -> None:
        self.folder, self.renderer, self.wanted = folder, renderer, wanted
        self.rank, self.processes = rank, processes
        self._files: dict[str, tuple[Place, list[Sample]]] = {}

    def after(self, position: Position | None) -> Iterator[tuple[Position, Tensor, Tensor]]:
        """Tokens and parts [batch, length] of each step, with the position after it."""
        position = position or Position(0, {})
        while True:
            samples, places = self._window(position)
            steps = self._steps(samples, position.window)
            for index in range(position.step, len(steps)):
                last = index + 1 == len(steps)
                after = Position(position.window + 1, places) if last else replace(position, step=index + 1)
                yield (after, *_padded(steps[index][self.rank]))
            position = Position(position.window + 1, places)

    def _window(self, position: Position) -> tuple[list[Sample], dict[str, Place]]:
        shares = {name: share for name, share in self.wanted.shares.items() if share and self._names(name)}
        if not shares:
            raise ConfigError(
                f"{self.folder} holds none of: {', '.join(f'{name}-*.jsonl' for name in self.wanted.shares)}."
            )
        places = dict(position.places)
        samples: list[Sample] = []
        for name, share in shares.items():
            place = places.get(name, Place())
            for _ in range(round(_WINDOW * share / sum(shares.values()))):
                sample, place = self._next(name, place)
                samples.append(sample)
            places[name] = place
        return samples, places

    def _next(self, name: str, place: Place) -> tuple[Sample, Place]:
        """The sample at a place, and the place after it."""
        names = self._names(name)
        kept = self._files.get(name)
        if kept is None or (kept[0].turn, kept[0].file) != (place.turn, place.file):
            samples = list(self.renderer.samples(names[place.file]))
            random.Random(f"{self.wanted.seed} {names[place.file].name} {place.turn}").shuffle(samples)
            kept = self._files[name] = (place, samples)
        samples = kept[1]
        if place.sample + 1 < len(samples):
            return samples[place.sample], replace(place, sample=place.sample + 1)
        if place.file + 1 < len(names):
            return samples[place.sample], Place(place.turn, place.file + 1)
        return samples[place.sample], Place(place.turn + 1)

    def _names(self, name: str) -> list[Path]:
        return sorted(path for path in self.folder.glob(f"{name}-[0-9]*.jsonl") if path.stat().st_size)

    def _steps(self, samples: list[Sample], window: int) -> list[list[list[Sample]]]:
        """For each step a batch for every process, of about one length."""
        choice = random.Random(f"{self.wanted.seed} {window}")
        samples = [_cut(sample) if choice.random() < self.wanted.cut else sample for sample in samples]
        samples = sorted(
            (sample for sample in samples if len(sample.tokens) <= self.wanted.longest),
            key=lambda sample: len(sample.tokens),
        )
        batches: list[list[Sample]] = [[]]
        for sample in samples:
            if (len(batches[-1]) + 1) * len(sample.tokens) > self.wanted.batch_tokens and batches[-1]:
                batches.append([])
            batches[-1].append(sample)
        whole = len(batches) - len(batches) % self.processes
        steps = [batches[index : index + self.processes] for index in range(0, whole, self.processes)]
        choice.shuffle(steps)
        return steps


def _cut(sample: Sample) -> Sample:
    return replace(sample, tokens=sample.tokens[sample.core], parts=sample.parts[sample.core])


def _padded(samples: list[Sample]) -> tuple[Tensor, Tensor]:
    length = max(len(sample.tokens) for sample in samples)
    length += -length % _LENGTH_STEP
    tokens = np.zeros((len(samples), length), np.int64)
    parts = np.zeros((len(samples), length), np.int64)
    for row, sample in enumerate(samples):
        tokens[row, : len(sample.tokens)] = sample.tokens
        parts[row, : len(sample.parts)] = sample.parts
    return torch.from_numpy(tokens), torch.from_numpy(parts)
