"""Keys and values at 8 bits: close to exact ones, the same by either way of attending, and half the size."""

from pathlib import Path

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_model.engine.loading import load_qwen3_next
from mlx_model.errors import ConfigError
from mlx_model.state.kv import BLOCK, KVBuffer, PackedKVBuffer
from mlx_model.state.prefix_store import PrefixStore
from mlx_model.state.sequence import SequenceState
from mlx_model.weights.checkpoint import open_checkpoint
from tests.support.weights.checkpoints import write_checkpoint

HEADS, QUERY_HEADS, DIM = 2, 6, 64


def normal(seed: int, *shape: int) -> mx.array:
    return mx.random.normal(shape, key=mx.random.key(seed))


@given(before=st.integers(0, 300), tokens=st.integers(1, 20))
@settings(max_examples=30, deadline=None)
def test_attention_over_packed_parts_is_attention_over_what_they_unpack_to(before: int, tokens: int) -> None:
    packed, exact, unpacked = (
        PackedKVBuffer(HEADS, DIM, mx.float32),
        KVBuffer(HEADS, DIM, mx.float32),
        KVBuffer(HEADS, DIM, mx.float32),
    )
    past = normal(1, 1, HEADS, before, DIM), normal(2, 1, HEADS, before, DIM)
    new = normal(3, 1, HEADS, tokens, DIM), normal(4, 1, HEADS, tokens, DIM)
    queries = normal(5, 1, QUERY_HEADS, tokens, DIM)
    if before:
        unpacked.append(*(part[..., :before, :] for part in packed.append(*past)))
        exact.append(*past)
    ours = packed.attend(queries, *new, DIM**-0.5)
    rounded = PackedKVBuffer(HEADS, DIM, mx.float32).append(*new)
    same = unpacked.attend(queries, *rounded, DIM**-0.5)
    assert mx.abs(ours - same).max() < 2e-6
    assert mx.abs(ours - exact.attend(queries, *new, DIM**-0.5)).max() < 0.03
    assert packed.length == before + tokens


def test_half_the_memory_of_sixteen_bits_and_an_eighth_for_scales() -> None:
    exact, packed = KVBuffer(HEADS, DIM, mx.bfloat16), PackedKVBuffer(HEADS, DIM, mx.bfloat16)
    whole = normal(1, 1, HEADS, 256, DIM).astype(mx.bfloat16)
    for buffer in (exact, packed):
        buffer.append(whole, whole)
    sizes = [sum(array.nbytes for array in buffer.arrays()) for buffer in (exact, packed)]
    assert sizes[1] / sizes[0] == pytest.approx((8 + 32 / 64) / 16)


def test_a_head_dim_without_whole_groups_is_refused() -> None:
    with pytest.raises(ConfigError, match="divisible by 32"):
        PackedKVBuffer(2, 48, mx.float32)


def test_a_model_goes_on_from_packed_snapshots_bit_for_bit_and_stays_close_to_exact(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_checkpoint(tmp_path / "model"))
    exact = load_qwen3_next(checkpoint, dtype="float32")
    model = load_qwen3_next(checkpoint, dtype="float32", kv_bits=8)
    tokens = [(7 * place) % 256 for place in range(200)]
    state, store = model.state(), PrefixStore(1 << 30)
    model.last_logits(mx.array([tokens[:90]]), state)
    store.store(tokens[:90], state)
    ours = model.last_logits(mx.array([tokens[90:]]), state)
    known = store.lookup(tokens)
    assert known is not None
    restored: SequenceState = model.state()
    restored.restore(known)
    assert mx.array_equal(model.last_logits(mx.array([tokens[90:]]), restored), ours)
    theirs = exact.last_logits(mx.array([tokens]), exact.state())
    assert 0 < mx.abs(ours - theirs).max() < 0.02 * mx.abs(theirs).max()


@pytest.mark.parametrize("kind", [KVBuffer, PackedKVBuffer])
def test_a_buffer_that_one_block_fills_holds_that_block_alone(kind: type[KVBuffer]) -> None:
    """Keys and values are cut from the projection of a whole block, many times as large."""
    before = mx.get_active_memory()
    buffer = kind(HEADS, DIM, mx.float32)
    projected = normal(1, 1, BLOCK, 16 * HEADS, DIM).swapaxes(1, 2)
    buffer.append(projected[:, -2 * HEADS : -HEADS], projected[:, -HEADS:])
    mx.eval(buffer.arrays())
    del projected
    assert mx.get_active_memory() - before < 1.1 * sum(part.nbytes for part in buffer.arrays())
