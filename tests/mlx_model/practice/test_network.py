"""The training network against transformers and against the engine."""

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the oracle is not installed (ORACLE=0)")

from mlx_model.engine.loading import load_qwen3_next  # noqa: E402
from mlx_model.practice.export import export_plain  # noqa: E402
from mlx_model.practice.training.run_folder import RunFolder, shape_of  # noqa: E402
from mlx_model.practice.trunk.network import Network  # noqa: E402
from mlx_model.weights.checkpoint import open_checkpoint  # noqa: E402
from tests.support.engine.oracle import Reference  # noqa: E402

TOKENS = [int(token) for token in np.random.default_rng(0).integers(0, 300, 77)]


def test_network_equals_transformers_and_the_engine(run: RunFolder, tmp_path: Path) -> None:
    state = run.load()
    network = Network(shape_of(state))
    network.load_state_dict(state["weights"])
    export_plain(run, tmp_path / "plain")
    engine = load_qwen3_next(open_checkpoint(tmp_path / "plain"))
    with torch.no_grad():
        tokens = torch.tensor([TOKENS])
        hidden = network.hidden(tokens)
        ours = np.asarray(network.lm_head(hidden)[0])
        ours_mtp = np.asarray(network.lm_head(network.mtp_hidden(tokens, hidden))[0])
    size = np.abs(ours).max()
    assert np.abs(Reference(tmp_path / "plain").logits(TOKENS) - ours).max() < 1e-5 * size

    given = mx.array([TOKENS])
    engine_hidden = engine.hidden(given, engine.state())
    assert np.abs(np.asarray(engine.head(engine_hidden)[0]) - ours).max() < 1e-5 * size
    assert engine.mtp is not None
    drafted = engine.head(engine.mtp(engine.embed(given[:, 1:]), engine_hidden[:, :-1], engine.mtp_kv()))
    assert np.abs(np.asarray(drafted[0]) - ours_mtp).max() < 1e-5 * np.abs(ours_mtp).max()


def test_mtp_layer_learns_alone(run: RunFolder) -> None:
    state = run.load()
    network = Network(shape_of(state))
    tokens = torch.tensor([TOKENS])
    network.mtp_hidden(tokens, network.hidden(tokens)).sum().backward()
    learning = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert learning and all(name.startswith("mtp.") for name in learning)
