"""Passes over a few tokens by compiled graphs: the same as without, whatever happens to model and state."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.decode.drafts.mtp import MtpDrafter
from mlx_model.engine.loading import load
from mlx_model.layers.projections import Linear
from mlx_model.memory.graphs import compile_without_fusing
from mlx_model.model import Qwen3Next
from tests.support.engine.compiler import needs_compiler
from tests.support.engine.drafting import Depths, asked, drafting_generator, reply
from tests.support.weights.checkpoints import write_checkpoint
from tests.support.weights.models import load_tiny

pytestmark = needs_compiler


@pytest.fixture
def compiling() -> Iterator[None]:
    """mx.compile on a CPU, as the engine has it there."""
    assert compile_without_fusing() is None
    yield
    mx.disable_compile()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("model"), seed=3, mtp=True)


def pair(directory: Path) -> tuple[Qwen3Next, Qwen3Next]:
    """The same model, without and with compiled graphs."""
    plain, compiled = (load_tiny(directory) for _ in range(2))
    compiled.compiles = True
    return plain, compiled


@pytest.mark.usefixtures("compiling")
def test_tokens_states_and_what_is_cut_back_are_the_same(directory: Path) -> None:
    models = pair(directory)
    states = [model.state() for model in models]
    for count, kept in ((20, 20), (1, 1), (1, 1), (4, 2), (4, 4), (17, 0), (1, 1), (2, 1), (1, 1)):
        tokens = mx.random.randint(0, 256, (1, count), key=mx.random.key(count))
        found = []
        for model, state in zip(models, states, strict=True):
            state.record(count > 1)
            found.append(np.array(model.logits(tokens, state)))
            state.record(False)
            if count > 1:
                state.keep(kept)
        np.testing.assert_array_equal(*found)
    for name, array in states[0].recurrent().items():
        np.testing.assert_array_equal(states[1].recurrent()[name], array, err_msg=name)


@pytest.mark.usefixtures("compiling")
def test_replies_drafted_by_a_compiled_layer_are_those_of_plain_decoding(directory: Path) -> None:
    plain, compiled = pair(directory)
    prompt = tuple(range(30, 60))
    expected, _ = reply(drafting_generator(plain), asked(prompt, 60))
    generator = drafting_generator(compiled, MtpDrafter(compiled), policy=Depths(4))
    assert reply(generator, asked(prompt, 60))[0] == expected


@pytest.mark.usefixtures("compiling")
def test_a_changed_adapter_is_compiled_anew_and_a_model_is_freed(directory: Path) -> None:
    plain, compiled = pair(directory)
    token = mx.array([[7]])
    before = np.array(compiled.logits(token, compiled.state()))
    path = next(path for path in compiled.adaptable if path.endswith("in_proj"))
    projection = plain.adaptable[path]
    assert isinstance(projection, Linear)
    a, b = mx.ones((projection.inputs, 2)), mx.full((2, projection.outputs), 0.1)
    for model in (plain, compiled):
        model.set_adapter({path: model.adaptable[path].prepared(a, b, None, mx.float32)})
    adapted = np.array(compiled.logits(token, compiled.state()))
    assert not np.array_equal(adapted, before)
    np.testing.assert_array_equal(adapted, np.array(plain.logits(token, plain.state())))
    compiled.set_adapter({})
    np.testing.assert_array_equal(np.array(compiled.logits(token, compiled.state())), before)
    alive = weakref.ref(compiled)
    del compiled, model
    gc.collect()
    assert alive() is None


@pytest.mark.usefixtures("compiling")
def test_a_model_that_the_engine_loads_is_compiled(directory: Path) -> None:
    model = load(directory).model
    assert isinstance(model, Qwen3Next)
    assert model.compiles
