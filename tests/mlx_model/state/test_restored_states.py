"""A model that goes on from a kept state says what it would have said from the first token on."""

import gc
import os
import shutil
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import cast

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_model.decode.generator import Generator
from mlx_model.decode.language_model import NothingKept
from mlx_model.decode.request import (
    GenerationFinished,
    GenerationRequest,
    SamplingParameters,
    TokenGenerated,
)
from mlx_model.engine.loading import DType, load_qwen3_next
from mlx_model.engine.state_keeper import StoredStates
from mlx_model.model import Qwen3Next
from mlx_model.state.disk.tier import DiskLimits, DiskTier
from mlx_model.state.prefix_store import PrefixStore
from mlx_model.weights.checkpoint import open_checkpoint
from tests.support.weights.checkpoints import write_checkpoint
from tests.support.weights.models import load_tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Qwen3Next:
    return load_tiny(write_checkpoint(tmp_path_factory.mktemp("model")))


@dataclass(frozen=True)
class Message:
    """Computed as one chunk, or, a reply, token by token."""

    tokens: tuple[int, ...]
    is_reply: bool


messages = st.builds(Message, st.lists(st.integers(0, 255), min_size=1, max_size=9).map(tuple), st.booleans())
turns = st.lists(messages, min_size=1, max_size=3)
# A conversation goes on from some earlier one (by index), cut after some of its messages, with new ones.
steps = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 4), turns, st.sampled_from(["", "", "evict", "restart"])),
    min_size=1,
    max_size=6,
)


def cuts(conversation: tuple[Message, ...]) -> list[int]:
    sizes = [
        size
        for message in conversation
        for size in ([1] * len(message.tokens) if message.is_reply else [len(message.tokens)])
    ]
    return [0, *accumulate(sizes)]


def flat(conversation: tuple[Message, ...]) -> tuple[int, ...]:
    return tuple(token for message in conversation for token in message.tokens)


def cold_logits(model: Qwen3Next, conversation: tuple[Message, ...]) -> mx.array:
    tokens, state = flat(conversation), model.state()
    return [model.last_logits(mx.array([tokens[a:b]]), state) for a, b in pairwise(cuts(conversation))][-1]


def cached_logits(
    model: Qwen3Next, states: StoredStates, conversation: tuple[Message, ...]
) -> tuple[mx.array, bool]:
    """The same with whatever is known already, each message's end being kept; and whether the chunks are those
    of a cold run. They are not after the end of another conversation's message inside one of this one's."""
    tokens = flat(conversation)
    ends = set(accumulate(len(message.tokens) for message in conversation))
    state = states.begin(tokens)
    equal_chunks = state.length in cuts(conversation)
    logits = None
    for start, stop in pairwise([state.length, *(cut for cut in cuts(conversation) if cut > state.length)]):
        logits = model.last_logits(mx.array([tokens[start:stop]]), state)
        if stop in ends:
            states.keep(tokens[:stop], state)
    assert logits is not None
    return logits, equal_chunks


@given(steps)
@settings(max_examples=12, deadline=None)
def test_branched_rewound_evicted_and_restarted_conversations_equal_cold_ones(
    model: Qwen3Next, plan: list[tuple[int, int, list[Message], str]]
) -> None:
    root = Path(os.environ["TIDEGATE_HOME"]) / "snapshots"
    shutil.rmtree(root, ignore_errors=True)

    def open_store() -> PrefixStore:
        return PrefixStore(1 << 30, DiskTier(root, "model", {}, DiskLimits(reserve=0)))

    store = open_store()
    states = StoredStates(model, store)
    told: list[tuple[Message, ...]] = [()]
    for parent, kept, new, happening in plan:
        conversation = (*told[parent % len(told)][:kept], *new)
        told.append(conversation)
        warm, equal_chunks = cached_logits(model, states, conversation)
        if equal_chunks:
            assert mx.array_equal(warm, cold_logits(model, conversation))
        else:
            whole = model.last_logits(mx.array([flat(conversation)]), model.state())
            assert mx.abs(warm - whole).max() <= 1e-5 * mx.abs(whole).max()
        if happening == "evict":
            store.shrink(0)
        elif happening == "restart":
            store.close()
            store = open_store()
            states = StoredStates(model, store)
    store.close()


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16, mx.float16])
def test_every_dtype_comes_back_from_disk_bit_for_bit(tmp_path: Path, dtype: mx.Dtype) -> None:
    # Without experts, whose kernel knows float32 only on a CPU.
    directory = write_checkpoint(tmp_path / "model", dtype=dtype, mlp_only_layers=[0, 1, 2, 3])
    name = cast(DType, str(dtype).removeprefix("mlx.core."))
    model = load_qwen3_next(open_checkpoint(directory), dtype=name)
    tokens = tuple(range(40))
    state = model.state()
    for start, stop in ((0, 7), (7, 30)):
        model.last_logits(mx.array([tokens[start:stop]]), state)
        store = PrefixStore(1 << 30, DiskTier(tmp_path / "cache", "model", {}, DiskLimits(reserve=0)))
        StoredStates(model, store).keep(tokens[:stop], state)
        store.close()
    store = PrefixStore(1 << 30, DiskTier(tmp_path / "cache", "model", {}, DiskLimits(reserve=0)))
    back = StoredStates(model, store).begin(tokens)
    store.close()
    assert back.length == 30
    for mine, theirs in zip(
        [*state.segment(0, 30).values(), *state.recurrent().values()],
        [*back.segment(0, 30).values(), *back.recurrent().values()],
        strict=True,
    ):
        assert mine.dtype == theirs.dtype
        assert mine.tobytes() == theirs.tobytes()


def test_the_generator_computes_only_what_is_new(model: Qwen3Next) -> None:
    def run(
        generator: Generator, prompt: tuple[int, ...], boundaries: tuple[int, ...]
    ) -> tuple[list[int], int]:  # type: ignore[type-arg]
        request = GenerationRequest(
            prompt, 6, frozenset(), SamplingParameters(temperature=0.0), boundaries=boundaries
        )
        events = list(generator.generate(request, lambda: False))
        finished = events[-1]
        assert isinstance(finished, GenerationFinished)
        return [event.token for event in events if isinstance(event, TokenGenerated)], finished.cached_tokens

    kept = Generator(model, StoredStates(model, PrefixStore(1 << 30)), chunk=16)
    cold = Generator(model, NothingKept(model), chunk=16)
    system, user = tuple(range(100, 120)), tuple(range(10))
    prompt = system + user
    reply, cached = run(kept, prompt, (20, 28))
    assert cached == 0
    longer = (*prompt, *reply, 5, 6, 7)
    rows = [
        (longer, (20, 28, 36), 35),  # goes on: all but the last token of the reply has been read
        (prompt, (20, 28), 28),  # the same again
        ((*system, 9, 9, 9), (20,), 20),  # another first message
        ((*longer, 8, 8), (20, 28, 36), 36),  # a branch
        ((7, *prompt), (), 0),  # another system prompt
    ]
    for tokens, boundaries, expected in rows:
        said, cached = run(kept, tokens, boundaries)
        assert cached == expected
        assert said == run(cold, tokens, boundaries)[0]


def test_a_computation_that_failed_midway_leaves_nothing_to_go_on_from(
    model: Qwen3Next, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PrefixStore(1 << 30)
    states, tokens = StoredStates(model, store), tuple(range(60))
    state = states.begin(tokens)
    model.last_logits(mx.array([tokens[:20]]), state)
    states.keep(tokens[:20], state)
    with monkeypatch.context() as failing:
        failing.setattr(state.layers[-1], "extend", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model.last_logits(mx.array([tokens[20:40]]), state)
    assert state.length == 20
    again = states.begin(tokens)
    assert again is not state
    expected = model.last_logits(mx.array([tokens[20:]]), again)
    cold = model.state()
    model.last_logits(mx.array([tokens[:20]]), cold)
    assert mx.array_equal(model.last_logits(mx.array([tokens[20:]]), cold), expected)


decoding = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=25)


@given(decoding, st.integers(0, 40))
@settings(max_examples=15)
def test_a_reply_is_taken_back_by_a_few_tokens(
    model: Qwen3Next, blocks: list[tuple[int, int]], back: int
) -> None:
    tokens = tuple(number % 251 for number in range(300))
    state = model.state()
    model.last_logits(mx.array([tokens[:30]]), state)
    for right, wrong in blocks:
        block = [*tokens[state.length : state.length + right], *[255] * wrong]
        if right + wrong > 1:
            state.record(True)
            model.last_logits(mx.array([block]), state)
            state.record(False)
            state.keep(right)
        else:
            model.last_logits(mx.array([tokens[state.length : state.length + 1]]), state)
    states = StoredStates(model, PrefixStore(1 << 30))
    end = state.length
    states.keep(tokens[:end], state)
    shared = max(30, end - back)
    branch = (*tokens[:shared], 255, 254)
    again = states.begin(branch)
    assert again is state
    assert shared - again.length < 16 or back > 24
    warm = model.last_logits(mx.array([branch[again.length :]]), again)
    cold = model.last_logits(mx.array([branch]), model.state())
    assert mx.abs(warm - cold).max() <= 1e-5 * mx.abs(cold).max()


def test_a_conversation_that_goes_on_copies_nothing(model: Qwen3Next, monkeypatch: pytest.MonkeyPatch) -> None:
    states, tokens = StoredStates(model, PrefixStore(1 << 30)), tuple(range(60))
    state = states.begin(tokens)
    model.last_logits(mx.array([tokens[:20]]), state)
    states.keep(tokens[:20], state)
    monkeypatch.delattr(type(state), "restore")
    assert states.begin(tokens) is state


def test_what_the_last_conversation_held_is_there_for_the_next(model: Qwen3Next) -> None:
    states, tokens = StoredStates(model, PrefixStore(0)), tuple(range(200))
    gc.collect()
    nothing = mx.get_active_memory()
    state = states.begin(tokens)
    for start in range(0, 100, 20):
        model.last_logits(mx.array([tokens[start : start + 20]]), state)
        mx.eval(state.arrays())
    states.keep(tokens[:100], state)
    del state
    held = states.held_bytes
    assert held == pytest.approx(mx.get_active_memory() - nothing, rel=0.1)
    other = states.begin(tuple(reversed(tokens)))
    assert states.held_bytes == 0 and mx.get_active_memory() - nothing < held / 10
    assert other.length == 0
