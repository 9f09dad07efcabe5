"""What the plan forecasts against what a process takes; and what experts on disk save of it."""

import json
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import pytest

from mlx_model.bench.residency import measure
from mlx_model.config.published import published_config
from mlx_model.memory.footprint import recipe_packing
from mlx_model.memory.machine import GIB, mac
from mlx_model.memory.plan import Model, Wishes, plan_memory
from mlx_model.state.kv import KVBuffer
from mlx_model.state.recurrent import DeltaBlock
from mlx_model.state.sequence import SequenceState
from mlx_model.weights.recipes import Recipe
from tests.support.patience import LONGEST
from tests.support.places import ROOT
from tests.support.weights.checkpoints import write_checkpoint


def full_size(*sizes: int) -> dict[str, int]:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.programs.full_size", *map(str, sizes)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=LONGEST,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, int] = json.loads(ended.stdout)
    return found


@pytest.mark.slow
def test_a_conversation_holds_what_the_plan_counts() -> None:
    """Of the real model's size: recurrent states of now, of before a block of drafts, of three earlier lengths,
    and keys and values, the MTP layer's with them."""
    config = published_config()
    model = Model(config, recipe_packing(Recipe.Q4), mtp=True)
    plan = plan_memory(model, mac(64 * GIB), Wishes(context=256))
    before = mx.get_active_memory()
    state = SequenceState(config, mx.bfloat16)
    pairs = KVBuffer(config.num_key_value_heads, config.head_dim, mx.bfloat16)

    def block(tokens: int) -> None:
        values = mx.random.normal((1, config.num_key_value_heads, tokens, config.head_dim))
        mixed = mx.zeros((1, tokens, config.conv_dim), mx.bfloat16)
        k = mx.random.normal((1, tokens, config.linear_num_key_heads, config.linear_key_head_dim))
        v = mx.random.normal((1, tokens, config.linear_num_value_heads, config.linear_value_head_dim))
        rate = mx.full((1, tokens, config.linear_num_value_heads), 0.5)
        for layer in state.layers:
            if isinstance(layer, KVBuffer):
                layer.append(values, values)
            else:
                layer.advance(k, DeltaBlock(mixed, k, v, rate, rate), mx.fast.gated_delta_update)
            mx.eval(state.arrays())
        pairs.append(values, values)
        state.advance(tokens)

    for tokens in (12, 12, 12, 12, 6):
        block(tokens)
    state.record(True)
    block(4)
    mx.eval(pairs.arrays())
    mx.clear_cache()
    held = mx.get_active_memory() - before
    assert held == pytest.approx(plan.state + plan.kv, rel=0.05)
    buffers = [layer for layer in state.layers if isinstance(layer, KVBuffer)]
    assert sum(part.nbytes for buffer in (*buffers, pairs) for part in buffer.arrays()) == plan.kv


def test_the_forecast_is_within_5_percent_of_what_mlx_takes() -> None:
    """Two layers of full width with few experts: here activations are a third of it all."""
    found = full_size(2, 16, 4096, 16)
    assert found["forecast"] == pytest.approx(found["mlx"], rel=0.05)


@pytest.mark.slow
def test_the_forecast_is_within_5_percent_of_the_resident_set() -> None:
    """Four layers with all their experts and the whole vocabulary."""
    found = full_size(4, 512, 151_936, 32)
    assert found["forecast"] == pytest.approx(found["mlx"], rel=0.05)
    assert found["forecast"] == pytest.approx(found["resident"], rel=0.05)


@pytest.mark.slow
def test_a_quarter_of_the_slots_saves_60_percent_of_the_resident_set(tmp_path: Path) -> None:
    """A checkpoint of which experts are nearly all: 1.3 GB in memory."""
    sizes = {"hidden_size": 512, "moe_intermediate_size": 512, "num_experts": 104, "num_experts_per_tok": 4}
    model = write_checkpoint(tmp_path / "model", **sizes)
    every, quarter, fewest = measure(model, range(1, 40), (104, 26, 4), 12)
    assert every.same_tokens and quarter.same_tokens and fewest.same_tokens
    assert quarter.resident_bytes < 0.4 * every.resident_bytes
    assert every.bytes_read_per_token == 0 < quarter.bytes_read_per_token
    assert every.hit_rate == 1 > quarter.hit_rate > fewest.hit_rate
