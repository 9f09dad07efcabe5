"""Other architectures, through mlx-lm, behind the same generator."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from mlx_lm.generate import generate_step
from mlx_lm.models import llama, mamba2, qwen3
from mlx_lm.utils import load_model

from mlx_model.decode.request import (
    GenerationFinished,
    GenerationRequest,
    SamplingParameters,
    TokenGenerated,
)
from mlx_model.engine.loading import load
from mlx_model.errors import CheckpointError, ConfigError, EngineError

LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "vocab_size": 100,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
}
QWEN3 = {**LLAMA, "model_type": "qwen3", "head_dim": 8, "rope_theta": 10000.0}
MAMBA2 = {
    "model_type": "mamba2",
    "num_heads": 4,
    "head_dim": 16,
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 64,
    "state_size": 16,
    "num_hidden_layers": 2,
    "layer_norm_epsilon": 1e-5,
    "conv_kernel": 4,
    "n_groups": 1,
    "use_bias": False,
    "use_conv_bias": True,
    "tie_word_embeddings": True,
    "time_step_limit": [0.0, 100.0],
    "time_step_rank": 4,
    "max_position_embeddings": 512,
}
PROMPT = tuple(range(1, 60))


def write(directory: Path, config: dict[str, Any], module: Any) -> Path:
    directory.mkdir()
    mx.random.seed(0)
    model = module.Model(module.ModelArgs.from_dict(config))
    tensors = {
        name: mx.random.normal(tensor.shape) * (0.5 if tensor.ndim > 1 else 1.0)
        for name, tensor in tree_flatten(model.parameters())
    }
    mx.save_safetensors(str(directory / "model.safetensors"), tensors, metadata={"format": "mlx"})
    (directory / "config.json").write_text(json.dumps(config))
    return directory


@pytest.fixture(params=["llama", "qwen3", "mamba2"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    config, module = {"llama": (LLAMA, llama), "qwen3": (QWEN3, qwen3), "mamba2": (MAMBA2, mamba2)}[
        request.param
    ]
    return write(tmp_path / "model", config, module)


def reply(generator: Any, prompt: tuple[int, ...]) -> tuple[list[int], GenerationFinished]:
    request = GenerationRequest(prompt, 10, frozenset(), SamplingParameters(temperature=0), (20,))
    events = list(generator.generate(request, lambda: False))
    finished = events[-1]
    assert isinstance(finished, GenerationFinished)
    return [event.token for event in events if isinstance(event, TokenGenerated)], finished


def by_mlx_lm(directory: Path, prompt: tuple[int, ...]) -> list[int]:
    model, _ = load_model(directory)
    return [int(token) for token, _ in generate_step(mx.array(prompt), model, max_tokens=10)]


def test_replies_are_those_of_mlx_lm_and_it_is_plainly_labelled(directory: Path) -> None:
    loaded = load(directory)
    assert (loaded.runner, bool(loaded.lacks)) == ("mlx-lm", True)
    generator = loaded.generator()
    assert generator.context_length == 512
    tokens, finished = reply(generator, PROMPT)
    assert tokens == by_mlx_lm(directory, PROMPT)
    assert finished.cached_tokens == 0


def test_the_last_conversation_goes_on_and_a_branch_is_right(directory: Path) -> None:
    loaded = load(directory)
    generator = loaded.generator()
    first, _ = reply(generator, PROMPT)
    longer = (*PROMPT, *first, 7, 8)
    tokens, finished = reply(generator, longer)
    assert tokens == by_mlx_lm(directory, longer)
    assert finished.cached_tokens == len(PROMPT) + len(first) - 1
    branch = (*PROMPT[:30], 9, 9)
    tokens, finished = reply(generator, branch)
    assert tokens == by_mlx_lm(directory, branch)
    # A recurrent state cannot be cut back.
    assert finished.cached_tokens == (0 if loaded.architecture == "mamba2" else 30)


def test_it_runs_in_another_thread_than_the_one_that_loaded_it(directory: Path) -> None:
    generator = load(directory).generator()
    with ThreadPoolExecutor(1) as other:
        tokens, _ = other.submit(reply, generator, PROMPT).result()
    assert tokens == by_mlx_lm(directory, PROMPT)


def test_chunks_do_not_change_the_logits(directory: Path) -> None:
    model = load(directory).model
    tokens = mx.array([PROMPT])
    whole = np.array(model.logits(tokens, model.state())[0, -1])
    state = model.state()
    model.last_logits(tokens[:, :20], state)
    np.testing.assert_allclose(np.array(model.last_logits(tokens[:, 20:], state)), whole, atol=2e-4)


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"model_type": "no_such_model"}, ConfigError, "no_such_model"),
        ({"hidden_size": 48}, CheckpointError, "mlx-lm cannot load"),
        ({"max_position_embeddings": None}, ConfigError, "max_position_embeddings"),
        ({"model_file": "code.py"}, CheckpointError, "mlx-lm cannot load"),
    ],
)
def test_what_mlx_lm_cannot_run_is_one_sentence(
    change: dict[str, Any], kind: type[EngineError], said: str, tmp_path: Path
) -> None:
    directory = write(tmp_path / "model", LLAMA, llama)
    (directory / "config.json").write_text(json.dumps({**LLAMA, **change}))
    with pytest.raises(kind, match=said) as raised:
        load(directory)
    assert "\n" not in str(raised.value)


def test_a_truncated_file_is_a_typed_error(tmp_path: Path) -> None:
    directory = write(tmp_path / "model", LLAMA, llama)
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="mlx-lm cannot"):
        load(directory)
