"""The MTP layer in training: what it computes is what drafting computes, and its gradients are right."""

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.config.model_config import Quantization
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Linear
from mlx_model.model import Qwen3Next
from mlx_model.train.corpus import Corpus
from mlx_model.train.head import Judge, stored_head, unroll
from mlx_model.train.linked import write_linked
from mlx_model.train.steps import DEPTH, Material, _gradients
from mlx_model.weights.checkpoint import Checkpoint, open_checkpoint
from mlx_model.weights.conversion.convert import convert
from mlx_model.weights.layout import Projection, mtp_items
from mlx_model.weights.recipes import Recipe, quantization_for
from tests.support.weights.checkpoints import random_tensors, tiny_config, write_checkpoint
from tests.support.weights.forms import stacked, write
from tests.support.weights.models import load_tiny

TOKENS = [(29 * place * place + 7 * place) % 256 for place in range(20)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return open_checkpoint(write_checkpoint(tmp_path_factory.mktemp("model"), seed=3, mtp=True))


@pytest.fixture(scope="module")
def model(checkpoint: Checkpoint) -> Qwen3Next:
    return load_tiny(checkpoint.directory)


def test_every_place_drafts_as_it_would_in_a_reply(checkpoint: Checkpoint, model: Qwen3Next) -> None:
    assert model.mtp is not None
    tokens = mx.array([TOKENS])
    hidden, embeddings = model.hidden(tokens, model.state()), model.embed(tokens)
    found = unroll(checkpoint.config, stored_head(checkpoint), embeddings, hidden, DEPTH)
    for place in range(len(TOKENS) - DEPTH):
        kv = model.mtp_kv()
        state = model.mtp(embeddings[:, 1 : place + 2], hidden[:, : place + 1], kv)[:, -1:]
        for draft in range(DEPTH):
            if draft:
                following = place + 1 + draft
                state = model.mtp(embeddings[:, following : following + 1], state, kv)
            np.testing.assert_allclose(found[draft][:, place], state[:, 0], atol=2e-5)


def direct_loss(judge_head: Any, states: mx.array, hidden: mx.array) -> mx.array:
    """Kullback-Leibler divergence, from its definition."""
    model, draft = (mx.softmax(judge_head(x).astype(mx.float32), axis=-1) for x in (hidden, states))
    return (model * (mx.log(model) - mx.log(draft))).sum()


@pytest.mark.parametrize("packed", [False, True])
def test_the_divergence_and_its_gradient(packed: bool) -> None:
    weight = mx.random.normal((100, 64), key=mx.random.key(1)) / 8
    tensors = {"weight": weight}
    if packed:
        tensors = dict(zip(("weight", "scales", "biases"), mx.quantize(weight, 64, 8), strict=True))
    packing = {"head": Quantization(bits=8, group_size=64)}
    named = {f"head.{name}": tensor for name, tensor in tensors.items()}
    head = Linear(Parameters(named, packing).scope("head"), 100, 64)
    states, hidden = mx.random.normal((2, 1, 11, 64), key=mx.random.key(2))
    divergence, agreed, gradient = Judge(head, chunk=4)(states, hidden)
    wanted, by_states = mx.value_and_grad(lambda x: direct_loss(head, x, hidden))(states)
    assert divergence == pytest.approx(wanted.item(), rel=1e-5)
    np.testing.assert_allclose(gradient, by_states, atol=1e-5)
    assert agreed == sum(
        int(mx.argmax(head(states[:, at])) == mx.argmax(head(hidden[:, at]))) for at in range(11)
    )


def test_the_gradients_of_a_batch_are_those_of_the_loss_as_a_whole(
    checkpoint: Checkpoint, model: Qwen3Next
) -> None:
    sequences = np.array([TOKENS, TOKENS[::-1], TOKENS], dtype=np.uint32)

    class Computed:
        dtype = mx.float32

        def read(self, index: int) -> mx.array:
            return model.hidden(mx.array(sequences[index][None]), model.state())

    material = Material(
        checkpoint.config, Corpus(sequences, 1, 1), Computed(), model.embed, Judge(model.head, 7)
    )
    parameters = stored_head(checkpoint)

    def loss(tensors: dict[str, mx.array]) -> mx.array:
        total = mx.array(0.0)
        for index in (0, 1):
            embeddings, hidden = material.sequence(index)
            count = len(TOKENS) - DEPTH
            for draft, states in enumerate(unroll(checkpoint.config, tensors, embeddings, hidden, DEPTH)):
                wanted = hidden[:, draft + 1 : draft + 1 + count]
                total = total + 0.5**draft * direct_loss(model.head, states, wanted) / (2 * count)
        return total

    found, _, _ = _gradients(material, parameters, [0, 1], 0)
    wanted = mx.grad(loss)(parameters)
    assert found.keys() == wanted.keys() == parameters.keys()
    for name, gradient in wanted.items():
        scale = float(mx.abs(gradient).max())
        assert scale > 0, name
        np.testing.assert_allclose(found[name], gradient, atol=1e-4 * scale, err_msg=name)


def forms(root: Path) -> dict[str, Path]:
    """One model as it can be stored: without an MTP layer, and with one that is to be replaced."""
    config = tiny_config()
    tensors = random_tensors(config, 3, mtp=True)
    plain = write_checkpoint(root / "plain", seed=3)
    own = write_checkpoint(root / "own", seed=3, mtp=True, shards=3)
    convert(own, root / "q4", Recipe.Q4)
    return {
        "plain": plain,
        "own": own,
        "stacked": write(root / "stacked", config, stacked(config, tensors)),
        "q4": root / "q4",
    }


def test_a_head_comes_back_from_every_form_of_checkpoint(tmp_path: Path) -> None:
    for name, directory in forms(tmp_path).items():
        checkpoint = open_checkpoint(directory)
        keys = iter(mx.random.split(mx.random.key(4), 100))
        tensors = {
            f"{item.path}.weight" if isinstance(item, Projection) else item.name: mx.random.normal(
                item.shape, key=next(keys)
            )
            for item in mtp_items(checkpoint.config)
        }
        out = tmp_path / f"{name}-out"
        write_linked(checkpoint, tensors, 1e7, "Sibling", out)
        again = open_checkpoint(out)
        assert again.config.mtp_trained and again.config.mtp_rope_theta == 1e7
        found = stored_head(again)
        assert found.keys() == tensors.keys()
        for item in mtp_items(checkpoint.config):
            if isinstance(item, Projection):
                packing = quantization_for(Recipe.Q4, item) if name == "q4" else None
                error = {None: 2**-8, 8: 0.03, 4: 0.4}[packing.bits if packing else None]
                assert again.quantization.get(item.path) == packing
                np.testing.assert_allclose(
                    found[f"{item.path}.weight"], tensors[f"{item.path}.weight"], rtol=2**-8, atol=error
                )
            else:
                assert mx.array_equal(found[item.name], tensors[item.name]).item(), item.name
        # All else is the original's, by its own files.
        linked = [file for file in directory.glob("*.safetensors") if (out / file.name).exists()]
        assert linked and all((out / file.name).samefile(file) for file in linked)
        trunk = {key: value for key, value in checkpoint.tensors() if not key.startswith("mtp.")}
        same = dict(again.tensors())
        assert all(mx.array_equal(same[key], value).item() for key, value in trunk.items())
        # And the head goes on into other checkpoints.
        recipe = Recipe.Q4 if name == "q4" else Recipe.BF16
        convert(tmp_path / "plain", tmp_path / f"{name}-grafted", recipe, graft_mtp=out)
        grafted = open_checkpoint(tmp_path / f"{name}-grafted")
        assert (grafted.config.mtp_source, grafted.config.mtp_rope_theta) == (out.name, 1e7)
        for key, tensor in stored_head(grafted).items():
            np.testing.assert_allclose(tensor, found[key], rtol=2**-7, atol=1e-6, err_msg=key)
