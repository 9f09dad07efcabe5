"""How often the model would have written the whole edit, told from transcripts: every token of the first edit's
sentence and call is the most likely one after the tokens before it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mlx_model.practice.data.transcripts import Part, Renderer, Sample
from mlx_model.practice.training.run_folder import RunFolder, shape_of
from mlx_model.practice.trunk.network import Network

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Score:
    """Of one kind of bug: transcripts, those whose edit is right, and of MTP drafts those that are."""

    count: int
    right: int
    drafts: int
    drafts_right: int


def evaluate(run: Path, files: Sequence[Path], limit: int) -> dict[str, dict[str, Score]]:
    """For each file, the score of each kind over its first `limit` transcripts, with the averaged weights.
    Raises ConfigError."""
    torch.set_num_threads(1)
    folder = RunFolder(run)
    state = folder.load()
    network = Network(shape_of(state), torch.bfloat16)
    network.load_state_dict(state["average"])
    renderer = Renderer(run)
    scores = {}
    for file in files:
        samples = sorted(list(renderer.samples(file))[:limit], key=lambda sample: len(sample.tokens))
        tallies: dict[str, list[Score]] = defaultdict(list)
        for start in range(0, len(samples), _AT_ONCE):
            some = samples[start : start + _AT_ONCE]
            for sample, score in zip(some, _scores(network, some), strict=True):
                tallies[sample.kind].append(score)
        scores[file.stem] = {kind: _sum(tally) for kind, tally in sorted(tallies.items())}
    return scores


def total(scores: Mapping[str, Score]) -> Score:
    """Over all kinds."""
    return _sum(list(scores.values()))


@torch.no_grad()
def _scores(network: Network, samples: Sequence[Sample]) -> list[Score]:
    length = max(len(sample.tokens) for sample in samples)
    tokens = torch.zeros(len(samples), length, dtype=torch.long)
    for row, sample in enumerate(samples):
        tokens[row, : len(sample.tokens)] = torch.from_numpy(sample.tokens.astype(np.int64))
    hidden = network.hidden(tokens)
    right = network.lm_head(hidden[:, :-1]).argmax(-1) == tokens[:, 1:]
    drafted = network.lm_head(network.mtp_hidden(tokens, hidden)[:, :-1]).argmax(-1) == tokens[:, 2:]
    return [_score(sample, right[row], drafted[row]) for row, sample in enumerate(samples)]


def _score(sample: Sample, right: Tensor, drafted: Tensor) -> Score:
    parts = torch.from_numpy(sample.parts.astype(np.int64))
    learnt = parts >= Part.EDIT
    # The first edit only: what follows depends on it.
    first = int(learnt.to(torch.int8).argmax())
    ends = (~learnt[first:]).to(torch.int8)
    last = first + int(ends.argmax()) if bool(ends.any()) else len(parts)
    whole = bool(right[first - 1 : last - 1].all()) if bool(learnt.any()) else False
    replies = (parts >= Part.REPLY)[2:]
    return Score(1, int(whole), int(replies.sum()), int(drafted[: len(replies)][replies].sum()))


def _sum(scores: Sequence[Score]) -> Score:
    return Score(
        sum(score.count for score in scores),
        sum(score.right for score in scores),
        sum(score.drafts for score in scores),
        sum(score.drafts_right for score in scores),
    )
