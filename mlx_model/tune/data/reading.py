"""What --data names, as examples to train on and examples held out."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlx_model.chat.prompt import PromptEncoder
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.errors import RequestError
from mlx_model.train.corpus import read_corpus
from mlx_model.tune.data.chats import encode_chat, read_chats
from mlx_model.tune.data.reviewed import (
    encode_decision,
    is_reviewed,
    read_decisions,
    split_decisions,
    told,
)
from mlx_model.tune.data.texts import Example, Text


@dataclass(frozen=True, slots=True)
class Material:
    """Examples to train on, and others `held_out`, which are only measured on. `made_of`: a line for each
    source, for the card; `shares`: how many of those held out come from each, in that order."""

    training: tuple[Example, ...]
    held_out: tuple[Example, ...]
    made_of: tuple[str, ...]
    shares: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to read: tokens that a text may have at most, how many examples are needed, the share held out (0 to
    1), the seed of what is drawn, and whether all tokens of a chat count."""

    length: int
    most: int
    held_out: float
    seed: int
    everything: bool = False


def read_material(paths: Sequence[Path], directory: Path, wanted: Wanted) -> Material:
    """Reads folders and files of text, and chats or decisions of a review from files that end in .jsonl; each
    path is a source of its own. `directory`: of the checkpoint. Raises RequestError, CheckpointError or
    TemplateError."""
    parts = [_read(path, directory, wanted) for path in paths]
    return Material(
        tuple(example for part in parts for example in part.training),
        tuple(example for part in parts for example in part.held_out),
        tuple(line for part in parts for line in part.made_of),
        tuple(len(part.held_out) for part in parts),
    )


def _read(path: Path, directory: Path, wanted: Wanted) -> Material:
    if path.suffix != ".jsonl" or not path.is_file():
        return _from_text(path, directory, wanted)
    if is_reviewed(path):
        return _from_decisions(path, directory, wanted)
    return _from_chats(path, directory, wanted)


def split(
    examples: Sequence[Example], share: float, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Examples to train on, and the share (0 to 1) of them that is held out: at least one of each. Raises
    RequestError where there are fewer than two."""
    if len(examples) < 2:
        raise RequestError("One example is too few to train on: another must be held out to measure on.")
    drawn = list(examples)
    random.Random(seed).shuffle(drawn)
    count = min(max(1, round(len(drawn) * share)), len(drawn) - 1)
    return tuple(drawn[count:]), tuple(drawn[:count])


def _from_chats(file: Path, directory: Path, wanted: Wanted) -> Material:
    encoder = PromptEncoder.from_directory(directory)
    chats = read_chats(file)
    examples: list[Example] = [
        (text,)
        for chat in chats
        for text in encode_chat(encoder, chat, wanted.length, everything=wanted.everything)
    ]
    training, held_out = split(examples, wanted.held_out, wanted.seed)
    return _source(training, held_out, f"{len(chats):,} chats of {file.name}")


def _from_decisions(file: Path, directory: Path, wanted: Wanted) -> Material:
    encoder = PromptEncoder.from_directory(directory)
    decisions = read_decisions(file)
    parts: list[tuple[Example, ...]] = []
    left_out = 0
    for side in split_decisions(decisions, wanted.held_out, wanted.seed):
        encoded = [encode_decision(encoder, decision, wanted.length) for decision in side]
        parts.append(tuple(example for example in encoded if example is not None))
        left_out += encoded.count(None)
    training, held_out = parts
    if not training or not held_out:
        raise RequestError(f"Of {file}, too few decisions have room in --length {wanted.length} tokens.")
    return _source(training, held_out, told(decisions, left_out))


def _from_text(path: Path, directory: Path, wanted: Wanted) -> Material:
    corpus = read_corpus(
        [path],
        Tokenizer.from_directory(directory),
        length=wanted.length,
        most=wanted.most,
        held_out=wanted.held_out,
        seed=wanted.seed,
    )
    examples: list[Example] = [
        (Text(sequence, np.ones(len(sequence), np.bool_)),) for sequence in corpus.sequences
    ]
    count = len(examples) - corpus.held_out
    return _source(examples[:count], examples[count:], f"{corpus.files:,} files of text from {path.name}")


def _source(training: Sequence[Example], held_out: Sequence[Example], made_of: str) -> Material:
    return Material(tuple(training), tuple(held_out), (made_of,), (len(held_out),))
