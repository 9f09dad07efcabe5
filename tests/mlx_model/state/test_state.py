"""A conversation's state: cut back by replay, carried over to a fresh one, and free of drift."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_model.model import Qwen3Next
from mlx_model.state.kv import KVBuffer
from mlx_model.state.prefix_state import ROOT, PrefixState, Segment
from mlx_model.state.sequence import SequenceState
from tests.support.weights.checkpoints import write_checkpoint
from tests.support.weights.models import load_tiny

TOKENS = [int(token) for token in np.random.default_rng(5).integers(0, 256, 700)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Qwen3Next:
    return load_tiny(write_checkpoint(tmp_path_factory.mktemp("model"), seed=6))


def feed(model: Qwen3Next, state: SequenceState, tokens: list[int]) -> np.ndarray:
    return np.array(model.logits(mx.array([tokens]), state)[0])


def everything(state: SequenceState) -> dict[str, np.ndarray]:
    return {**state.segment(0, state.length), **state.recurrent()}


@given(before=st.integers(0, 300), block=st.integers(1, 9), data=st.data())
@settings(max_examples=12, deadline=None)
def test_keeping_part_of_a_block_leaves_the_state_that_part_alone_would_have_made(
    model: Qwen3Next, before: int, block: int, data: st.DataObject
) -> None:
    kept = data.draw(st.integers(0, block))
    state, expected = model.state(), model.state()
    for each in (state, expected):
        if before:
            feed(model, each, TOKENS[:before])
    state.record(True)
    feed(model, state, TOKENS[before : before + block])
    state.keep(kept)
    if kept:
        feed(model, expected, TOKENS[before : before + kept])
    assert state.length == expected.length == before + kept
    ours, theirs = everything(state), everything(expected)
    for name, array in theirs.items():
        np.testing.assert_allclose(ours[name], array, atol=2e-5, err_msg=name)
    following = [7, 8, 9]
    np.testing.assert_allclose(
        feed(model, state, following), feed(model, expected, following), atol=2e-5, rtol=1e-5
    )


def test_a_state_restored_from_its_parts_goes_on_bit_for_bit(model: Qwen3Next) -> None:
    state = model.state()
    segments = []
    for start, stop in ((0, 3), (3, 300), (300, 555)):
        feed(model, state, TOKENS[start:stop])
        segments.append(Segment(bytes([stop % 251]) * 16, ROOT, stop, state.segment(start, stop)))
    kept = PrefixState(tuple(segments), state.recurrent())
    expected = feed(model, state, TOKENS[555:600])

    restored = model.state()
    restored.restore(kept)
    assert restored.length == 555
    np.testing.assert_array_equal(feed(model, restored, TOKENS[555:600]), expected)
    # What was copied out is not written to by the state that goes on.
    again = model.state()
    again.restore(kept)
    np.testing.assert_array_equal(feed(model, again, TOKENS[555:600]), expected)


def test_bfloat16_survives_the_way_through_numpy(model: Qwen3Next) -> None:
    state = SequenceState(model.config, mx.bfloat16)
    keys = mx.random.normal((1, 2, 5, 32)).astype(mx.bfloat16)
    state.layers[3].append(keys, -keys)
    state.layers[0].window = mx.random.normal(state.layers[0].window.shape).astype(mx.bfloat16)
    state.length = 5
    copy = SequenceState(model.config, mx.bfloat16)
    copy.restore(PrefixState((Segment(bytes(16), ROOT, 5, state.segment(0, 5)),), state.recurrent()))
    assert mx.array_equal(copy.layers[3].append(keys[..., :0, :], keys[..., :0, :])[0], keys)
    assert copy.layers[0].window.dtype == mx.bfloat16
    assert mx.array_equal(copy.layers[0].window, state.layers[0].window)


def test_a_token_is_written_in_place_not_by_copying_what_came_before() -> None:
    buffer = KVBuffer(8, 128, mx.float32)
    one = mx.ones((1, 8, 1, 128))
    buffer.append(*[mx.zeros((1, 8, 2000, 128))] * 2)
    mx.eval(one, buffer.arrays())
    held = mx.get_active_memory()
    mx.reset_peak_memory()
    for _ in range(20):
        keys, _ = buffer.append(one, one)
        total = keys.sum()
        mx.eval(total, buffer.arrays())
        del keys
    assert mx.get_peak_memory() - held < 8 * 2000 * 128 * 4 / 4
    assert total.item() == 20 * 8 * 128


def test_keys_and_values_of_an_announced_length_are_moved_once(model: Qwen3Next) -> None:
    state = model.state()
    state.reserve(700)
    rooms = set()
    for _ in range(10):
        model.hidden(mx.array([list(range(70))]), state)
        rooms |= {
            part.shape[2] for layer in state.layers if isinstance(layer, KVBuffer) for part in layer.arrays()
        }
    assert rooms == {768}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_thousand_tokens_of_greedy_decoding_do_not_drift(model: Qwen3Next) -> None:
    state = model.state()
    tokens = TOKENS[:20]
    logits = model.last_logits(mx.array([tokens]), state)
    for count in range(len(tokens) + 1, 5001):
        tokens = [*tokens, int(mx.argmax(logits).item())]
        logits = model.last_logits(mx.array([tokens[-1:]]), state)
        if count in {100, 1000, 2500, 5000}:
            fresh = model.state()
            expected = feed(model, fresh, tokens)[-1]
            np.testing.assert_allclose(np.array(logits), expected, atol=1e-5 * np.abs(expected).max())
            ours = everything(state)
            for name, array in everything(fresh).items():
                np.testing.assert_allclose(ours[name], array, atol=2e-5 * np.abs(array).max(), err_msg=name)
