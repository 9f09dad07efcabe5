"""Several requests at once: each gets the tokens, and leaves the state, that it would alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_model.decode.drafting import Drafting
from mlx_model.decode.drafts.lookup import LookupDrafter
from mlx_model.decode.drafts.mtp import MtpDrafter
from mlx_model.decode.generation import Generation
from mlx_model.decode.generator import MOST_ROWS, Generator
from mlx_model.decode.language_model import NothingKept
from mlx_model.decode.request import (
    GenerationFinished,
    GenerationRequest,
    SamplingParameters,
    TokenGenerated,
)
from mlx_model.engine.loading import load_qwen3_next
from mlx_model.engine.state_keeper import StoredStates
from mlx_model.model import Qwen3Next
from mlx_model.server.sharing import Chunk, Row, Sharing
from mlx_model.state.prefix_store import PrefixStore
from mlx_model.weights.checkpoint import open_checkpoint
from tests.support.engine.drafting import Depths, assert_cold
from tests.support.weights.checkpoints import DENSE_3_5, SPARSE_3_5, write_checkpoint

VOCABULARY = 96


class EveryThird:
    """A Constraint: after a multiple of five, the next three tokens are in one class modulo three."""

    def __init__(self, fails_at: int = 1_000) -> None:
        self._left, self._count, self._fails_at = 0, 0, fails_at

    @property
    def active(self) -> bool:
        return self._left > 0

    def advance(self, token: int) -> None:
        self._count += 1
        if self._count == self._fails_at:
            raise ValueError("a defect of this reply alone")
        self._left = self._left - 1 if self._left else 3 * (token % 5 == 0)

    def mask(self) -> Any:
        return np.arange(VOCABULARY) % 3 == self._left % 3

    def check(self, drafts: Sequence[int]) -> tuple[int, Any]:
        fresh = EveryThird()
        fresh._left = self._left
        masks, admitted = [], 0
        constrained = fresh.active
        for token in (*drafts, None):
            masks.append(fresh.mask() if fresh.active else np.ones(VOCABULARY, dtype=np.bool_))
            if token is None or not masks[-1][token]:
                break
            fresh.advance(token)
            constrained = constrained or fresh.active
            admitted += 1
        return admitted, np.stack(masks) if constrained else None


@dataclass(frozen=True)
class Asked:
    """A request that arrives after so many pieces of work, and is cancelled after so many tokens."""

    arrives: int
    length: int
    count: int
    seed: int
    constrained: bool
    cancelled_after: int = 1_000

    def request(self, **fields: Any) -> GenerationRequest:
        prompt = tuple((self.seed * 31 + place * place) % VOCABULARY for place in range(self.length))
        sampling = SamplingParameters(temperature=self.seed % 2, seed=self.seed)
        constraint = EveryThird if self.constrained else lambda: None
        return GenerationRequest(prompt, self.count, frozenset({7}), sampling, constraint=constraint, **fields)


rows = st.builds(
    Asked,
    arrives=st.integers(0, 30),
    length=st.integers(1, 70),
    count=st.integers(1, 14),
    seed=st.integers(0, 999),
    constrained=st.booleans(),
    cancelled_after=st.sampled_from([1_000, 1_000, 1_000, 3, 0]),
)


def served(
    generator: Generator[Any], asked: Sequence[Asked], requests: Sequence[GenerationRequest]
) -> list[tuple[list[int], Any]]:
    """Serves them as the scheduler does; the tokens of each and its end, or what went wrong."""
    tokens: list[list[int]] = [[] for _ in asked]
    ends: list[Any] = [None for _ in asked]
    running: dict[int, Generation[Any]] = {}
    waiting = sorted(range(len(asked)), key=lambda row: asked[row].arrives)
    sharing, clock = Sharing(), 0

    def take(row: int, event: Any) -> None:
        if isinstance(event, TokenGenerated):
            tokens[row].append(event.token)
        elif isinstance(event, GenerationFinished | Exception):
            ends[row] = event

    while waiting or running:
        while waiting and (asked[waiting[0]].arrives <= clock or not running) and len(running) < MOST_ROWS:
            row = waiting.pop(0)
            limit = asked[row].cancelled_after
            running[row] = generator.begin(
                requests[row], lambda row=row, limit=limit: len(tokens[row]) >= limit
            )
            for event in running[row].step():
                take(row, event)
        order = list(running)
        work = sharing.next([Row(g.prompt_left, g.next_chunk) for g in running.values()])
        chosen = [order[row] for row in ((work.row,) if isinstance(work, Chunk) else work.rows)]
        if len(chosen) == 1:
            for event in running[chosen[0]].step():
                take(chosen[0], event)
        else:
            by_generation = {running[row]: row for row in chosen}
            for generation, happened in generator.together(list(by_generation)):
                take(by_generation[generation], happened)
        running = {row: generation for row, generation in running.items() if not generation.ended}
        clock += 1
    return list(zip(tokens, ends, strict=True))


def alone(model: Qwen3Next, asked: Asked) -> tuple[list[int], GenerationFinished]:
    """Plain decoding of one request, after which nothing is left."""
    tokens: list[int] = []
    events = Generator(model, NothingKept(model)).generate(
        asked.request(), lambda: len(tokens) >= asked.cancelled_after
    )
    for event in events:
        if isinstance(event, TokenGenerated):
            tokens.append(event.token)
    assert isinstance(event, GenerationFinished)
    return tokens, event


SHAPES: dict[str, dict[str, Any]] = {
    "qwen3_next": {},
    "qwen3_5_moe, 8 bits": SPARSE_3_5,
    "qwen3_5": DENSE_3_5,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Qwen3Next]:
    def load(name: str, fields: dict[str, Any]) -> Qwen3Next:
        checkpoint = write_checkpoint(
            tmp_path_factory.mktemp("model"), seed=5, mtp=True, vocab_size=VOCABULARY, **fields
        )
        bits = 8 if "8 bits" in name else None
        return load_qwen3_next(open_checkpoint(checkpoint), dtype="float32", kv_bits=bits)

    return {name: load(name, fields) for name, fields in SHAPES.items()}


@pytest.fixture(scope="module")
def model(models: dict[str, Qwen3Next]) -> Qwen3Next:
    return models["qwen3_next"]


def sharing_generator(model: Qwen3Next, states: Any = None) -> Generator[Any]:
    drafting = Drafting(model, [LookupDrafter(), MtpDrafter(model)], Depths())
    return Generator(model, states or NothingKept(model), chunk=16, drafting=drafting, batching=model)


@pytest.mark.parametrize(
    ("shape", "count"),
    [("qwen3_next", 2), ("qwen3_next", 8), ("qwen3_5_moe, 8 bits", 4), ("qwen3_5", 4)],
)
@given(data=st.data())
@settings(max_examples=2)
def test_every_row_gets_the_tokens_that_it_gets_alone(
    models: dict[str, Qwen3Next], shape: str, count: int, data: st.DataObject
) -> None:
    model = models[shape]
    asked = data.draw(st.lists(rows, min_size=count, max_size=count))
    states = StoredStates(model, PrefixStore(1 << 28))
    found = served(sharing_generator(model, states), asked, [one.request() for one in asked])
    for one, (tokens, end) in zip(asked, found, strict=True):
        expected, finished = alone(model, one)
        assert (tokens, end.reason) == (expected, finished.reason)
        whole = (*one.request().prompt, *tokens)
        left = states.begin((*whole, 0))
        assert left.length <= len(whole)
        if left.length:
            assert_cold(model, whole[: left.length], left)


def test_a_client_that_leaves_before_its_prompt_was_begun_costs_nothing(model: Qwen3Next) -> None:
    generator = sharing_generator(model, StoredStates(model, PrefixStore(1 << 28)))
    asked = Asked(0, 40, 3, 1, constrained=False)
    gone, staying = (generator.begin(asked.request(), lambda left=left: left) for left in (True, False))
    list(gone.step())
    list(staying.step())
    (end,) = gone.step()
    assert isinstance(end, GenerationFinished) and end.reason == "cancelled" and gone.ended
    assert staying.prompt_left == 40 and not staying.ended


def test_a_defect_of_one_row_ends_that_row_alone(model: Qwen3Next) -> None:
    asked = [Asked(0, 20 + row, 10, row, constrained=False) for row in range(3)]
    requests = [one.request() for one in asked]
    requests[1] = replace(requests[1], constraint=lambda: EveryThird(fails_at=4))
    found = served(sharing_generator(model), asked, requests)
    assert isinstance(found[1][1], ValueError)
    for row in (0, 2):
        assert found[row][0] == alone(model, asked[row])[0]


def test_what_two_prompts_have_in_common_is_computed_once(model: Qwen3Next) -> None:
    generator = sharing_generator(model, StoredStates(model, PrefixStore(1 << 28)))
    common = tuple(range(40))
    requests = [
        GenerationRequest((*common, last), 3, frozenset(), SamplingParameters(temperature=0), (40,))
        for last in (50, 51)
    ]
    found = served(generator, [Asked(0, 41, 3, row, constrained=False) for row in range(2)], requests)
    assert [end.cached_tokens for _, end in found] == [0, 40]
    for request, (tokens, _) in zip(requests, found, strict=True):
        events = Generator(model, NothingKept(model)).generate(request, lambda: False)
        assert tokens == [event.token for event in events if isinstance(event, TokenGenerated)]


def test_rows_that_decode_together_take_one_pass(model: Qwen3Next, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in passes: four replies of twelve tokens, in little more than the passes of one."""
    widths: list[int] = []
    hidden = Qwen3Next.hidden

    def counted(self: Qwen3Next, tokens: mx.array, state: Any) -> mx.array:
        widths.append(tokens.shape[1])
        return hidden(self, tokens, state)

    monkeypatch.setattr(Qwen3Next, "hidden", counted)
    asked = [Asked(0, 40, 12, 2 * row, constrained=False) for row in range(4)]
    requests = [replace(one.request(), stop_tokens=frozenset()) for one in asked]
    generator = Generator(model, NothingKept(model), batching=model)
    found = served(generator, asked, requests)
    assert [len(tokens) for tokens, _ in found] == [12] * 4
    # The first token follows from the prompt, and the last is not computed with.
    decoding = [width for width in widths if width != 40]
    assert sum(decoding) == 4 * 11 and max(decoding) == 4 and len(decoding) <= 11 + 3
    assert all(end.shared_tokens > 8 for _, end in found)
