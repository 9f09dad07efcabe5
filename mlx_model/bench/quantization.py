"""bench kl: how far each recipe's predictions are from the unpacked model's, on a given text.

At every position: the Kullback-Leibler divergence of the recipe's next-token distribution from the bfloat16
one, in nats. Layer after layer runs over the whole text, for all recipes side by side, so that only one layer's
weights are in memory: a model of 160 GB can be measured on a machine with a hundredth of that memory.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import mlx.core as mx
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mlx_model.commands.shared.chats import add_chats, joined_chats
from mlx_model.commands.shared.options import prompt_tokens, read_text
from mlx_model.config.model_config import ModelConfig
from mlx_model.engine.loading import in_dtype
from mlx_model.errors import RequestError
from mlx_model.layers.decoder import AttentionLayer, DeltaNetLayer
from mlx_model.layers.norms import RMSNorm
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Matrix
from mlx_model.memory.device import default_dtype, prepare_mlx
from mlx_model.memory.footprint import footprint, recipe_packing
from mlx_model.state.kv import KVBuffer
from mlx_model.state.sequence import SequenceState
from mlx_model.weights.checkpoint import (
    Checkpoint,
    Stored,
    StoredProjection,
    StoredVector,
    is_mtp,
    open_checkpoint,
)
from mlx_model.weights.conversion.convert import produce
from mlx_model.weights.recipes import Recipe, quantization_for
from mlx_model.weights.safetensors import TensorReader

_CHUNK = 512
"""Tokens of a forward pass."""
_DEFAULT_TOKENS = 2048
"""Tokens judged: minutes on a machine that serves the model."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """One recipe against bfloat16: its size in bytes, mean and largest divergence in nats, the share (0 to 1)
    of positions with the same most likely token, and the perplexity of the text."""

    recipe: str
    nbytes: int
    mean_kl: float
    max_kl: float
    same_argmax: float
    perplexity: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="an unpacked checkpoint")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--tokens", metavar="1,2,3", help="token ids")
    source.add_argument("--file", type=Path, metavar="F", help="a UTF-8 text file")
    add_chats(source)
    parser.add_argument(
        "--count",
        type=int,
        default=_DEFAULT_TOKENS,
        metavar="N",
        help=f"tokens of the text to use (default {_DEFAULT_TOKENS})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Prints the divergences. Raises EngineError."""
    if arguments.count < 2:
        raise RequestError(f"--count is {arguments.count}; it takes at least two tokens.")
    if arguments.chats is not None:
        tokens = joined_chats(arguments.chats, arguments.model)[: arguments.count]
    else:
        text = read_text(arguments.file)
        tokens = prompt_tokens(arguments.tokens, text, arguments.model)[: arguments.count]
    found = measure_divergence(open_checkpoint(arguments.model), tokens)
    if arguments.json:
        print(json.dumps({"tokens": len(tokens), "recipes": [asdict(divergence) for divergence in found]}))
        return 0
    table = Table(title=f"{arguments.model} · {len(tokens)} tokens", title_justify="left", box=SIMPLE_HEAD)
    for heading in ("recipe", "size", "mean KL", "largest KL", "same token", "perplexity"):
        table.add_column(heading, justify="left" if heading == "recipe" else "right", no_wrap=True)
    for line in found:
        table.add_row(
            line.recipe,
            f"{line.nbytes / 1e9:.2f} GB",
            f"{line.mean_kl:.5f}",
            f"{line.max_kl:.4f}",
            f"{line.same_argmax:.1%}",
            f"{line.perplexity:.4f}",
        )
    Console().print(table)
    return 0


def measure_divergence(checkpoint: Checkpoint, tokens: Sequence[int]) -> list[Divergence]:
    """Each recipe against the first of them, bfloat16. Raises RequestError, CheckpointError."""
    config = checkpoint.config
    if len(tokens) < 2 or not all(0 <= token < config.vocab_size for token in tokens):
        raise RequestError(f"It takes at least two tokens below {config.vocab_size}.")
    if checkpoint.quantization:
        raise RequestError(f"{checkpoint.directory} is packed already; measure on the bfloat16 original.")
    prepare_mlx()
    recipes = (Recipe.BF16, Recipe.Q8, Recipe.Q4_DENSE8, Recipe.Q4)
    dtype: mx.Dtype = getattr(mx, default_dtype("bfloat16"))
    ids = mx.array([list(tokens)])
    hidden: dict[Recipe, mx.array] = {}
    stages = [(module, list(items)) for module, items in groupby(_main(checkpoint), _stage)]
    with TensorReader() as reader, Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("Measuring", total=len(stages) * len(recipes))
        embedding: list[Stored] = []
        for module, items in stages:
            for recipe in recipes:
                parameters = _parameters(reader, items, recipe, dtype)
                if module == "model.embed_tokens":
                    embedding = items
                    hidden[recipe] = _embedding(config, parameters).rows(ids).astype(dtype)
                elif module == "model.norm":
                    norm = RMSNorm(parameters.scope(module), config.hidden_size, config.rms_norm_eps)
                    hidden[recipe] = norm(hidden[recipe])
                elif module != "lm_head":
                    hidden[recipe] = _layer(config, parameters, int(module.split(".")[-1]), hidden[recipe])
                mx.eval(hidden[recipe])
                del parameters
                mx.clear_cache()
                bar.advance(task)
        head = embedding if config.tie_word_embeddings else stages[-1][1]
        return _compare(config, {r: (hidden[r], _parameters(reader, head, r, dtype)) for r in recipes}, ids[0])


def _compare(
    config: ModelConfig, outputs: Mapping[Recipe, tuple[mx.array, Parameters]], ids: mx.array
) -> list[Divergence]:
    heads = {
        recipe: _embedding(config, parameters)
        if config.tie_word_embeddings
        else Matrix(parameters.scope("lm_head"), config.vocab_size, config.hidden_size)
        for recipe, (_, parameters) in outputs.items()
    }
    count = ids.size
    kl: dict[Recipe, list[float]] = {recipe: [] for recipe in outputs}
    same = dict.fromkeys(outputs, 0)
    loss = dict.fromkeys(outputs, 0.0)
    for start in range(0, count, _CHUNK // 4):
        stop = min(start + _CHUNK // 4, count)
        following = ids[start + 1 : stop + 1]
        reference: mx.array | None = None
        for recipe, (hidden, _) in outputs.items():
            logits = heads[recipe].project(hidden[:, start:stop])[0].astype(mx.float32)
            found = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
            reference = found if reference is None else reference
            kl[recipe] += [float(x) for x in (mx.exp(reference) * (reference - found)).sum(axis=-1)]
            same[recipe] += int((mx.argmax(reference, axis=-1) == mx.argmax(found, axis=-1)).sum())
            if following.size:
                chosen = mx.take_along_axis(found[: following.size], following[:, None], axis=-1)
                loss[recipe] -= float(chosen.sum())
    return [
        Divergence(
            recipe=str(recipe),
            nbytes=footprint(config, recipe_packing(recipe)).total.nbytes,
            mean_kl=math.fsum(kl[recipe]) / count,
            max_kl=max(kl[recipe]),
            same_argmax=same[recipe] / count,
            perplexity=math.exp(loss[recipe] / (count - 1)),
        )
        for recipe in outputs
    ]


def _layer(config: ModelConfig, parameters: Parameters, index: int, x: mx.array) -> mx.array:
    """Runs one layer over the whole text, x [1, n, hidden], from an empty state, in chunks of _CHUNK."""
    scope = parameters.scope("model").scope(f"layers.{index}")
    memory = SequenceState(config, x.dtype).layers[index]
    sparse = config.is_sparse(index)
    chunks = []
    if isinstance(memory, KVBuffer):
        attention = AttentionLayer(config, scope, sparse=sparse)
        for start in range(0, x.shape[1], _CHUNK):
            chunks.append(attention(x[:, start : start + _CHUNK], memory))
            mx.eval(chunks)
    else:
        delta_net = DeltaNetLayer(config, scope, sparse=sparse)
        for start in range(0, x.shape[1], _CHUNK):
            chunks.append(delta_net(x[:, start : start + _CHUNK], memory))
            mx.eval(chunks)
    return mx.concatenate(chunks, axis=1)


def _embedding(config: ModelConfig, parameters: Parameters) -> Matrix:
    return Matrix(parameters.scope("model").scope("embed_tokens"), config.vocab_size, config.hidden_size)


def _main(checkpoint: Checkpoint) -> Iterator[Stored]:
    return (item for item in checkpoint.stored if not is_mtp(item))


def _stage(item: Stored) -> str:
    """The path of the embedding, layer, norm or head that an item belongs to."""
    path = item.vector.name if isinstance(item, StoredVector) else item.projection.path
    parts = path.split(".")
    return ".".join(parts[:3] if parts[1:2] == ["layers"] else parts[:2] if parts[0] == "model" else parts[:1])


def _parameters(reader: TensorReader, items: Sequence[Stored], recipe: Recipe, dtype: mx.Dtype) -> Parameters:
    """The tensors of stored items as packed by the recipe, floats in the dtype of activations."""
    slabs: dict[str, list[mx.array]] = {}
    for item in items:
        for name, _, slab in produce(reader, item, recipe):
            slabs.setdefault(name, []).append(slab)
    tensors: dict[str, mx.array] = {}
    for name in list(slabs):
        runs = slabs.pop(name)
        tensors[name] = in_dtype(name, runs[0] if len(runs) == 1 else mx.concatenate(runs, axis=0), dtype)
        mx.eval(tensors[name])
    packings = {
        item.projection.path: packing
        for item in items
        if isinstance(item, StoredProjection)
        and (packing := quantization_for(recipe, item.projection)) is not None
    }
    return Parameters(tensors, packings)
