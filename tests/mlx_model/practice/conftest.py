"""A training's folder of a tiny shape."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlx_model.practice.trunk.shape import Shape
from tests.mlx_model.practice.transcripts import write_transcripts

if TYPE_CHECKING:
    from mlx_model.practice.training.run_folder import RunFolder

TINY = Shape(
    vocab_size=300,
    hidden_size=64,
    num_hidden_layers=2,
    full_attention_interval=2,
    head_dim=32,
    linear_num_key_heads=2,
    linear_num_value_heads=2,
    linear_key_head_dim=32,
    linear_value_head_dim=32,
    num_experts=4,
    moe_intermediate_size=64,
    shared_expert_intermediate_size=64,
)


@pytest.fixture
def run(tmp_path: Path) -> "RunFolder":
    """Random weights in every parameter, a tokenizer and the template. Skips where there is no PyTorch."""
    torch = pytest.importorskip("torch", reason="the oracle is not installed (ORACLE=0)")
    # ruff: noqa: PLC0415 (they need PyTorch)
    from mlx_model.practice.data.tokenizer import write_tokenizer
    from mlx_model.practice.data.transcripts import Writer
    from mlx_model.practice.export import TEMPLATE
    from mlx_model.practice.training.run_folder import RunFolder, fresh_state
    from mlx_model.practice.trunk.network import Network

    torch.manual_seed(0)
    network = Network(TINY)
    with torch.no_grad():
        for parameter in network.parameters():
            # What begins at zero would hide mistakes behind it.
            parameter.add_(torch.randn_like(parameter), alpha=0.2 * max(parameter.shape[-1], 4) ** -0.5)
    folder = RunFolder(tmp_path / "run")
    folder.save(fresh_state(network))
    shutil.copyfile(TEMPLATE, folder.path / TEMPLATE.name)
    data = write_transcripts(tmp_path / "data" / "train-00.jsonl", 8)
    write_tokenizer(Writer(folder.path).texts(data), TINY.vocab_size, folder.path)
    return folder
