"""The MTP drafter: the layer's own predictions, fed with what the model really saw."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import mlx.core as mx
import numpy as np
import pytest
from numpy.typing import NDArray

from mlx_model.decode.drafts.lookup import LookupDrafter
from mlx_model.decode.drafts.mtp import MtpDrafter
from mlx_model.decode.request import SamplingParameters
from mlx_model.decode.sampling import Sampler
from mlx_model.engine.state_keeper import StoredStates
from mlx_model.model import Qwen3Next
from mlx_model.state.disk.tier import DiskTier
from mlx_model.state.prefix_state import as_tokens
from mlx_model.state.prefix_store import PrefixStore
from tests.support.engine.drafting import Depths, Oracle, asked, assert_cold, drafting_generator, reply
from tests.support.weights.checkpoints import write_checkpoint
from tests.support.weights.models import load_tiny

PROMPT = tuple(int(token) for token in np.random.default_rng(2).integers(0, 256, 50))
SAMPLED = [
    {"temperature": 0},
    {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "repetition_penalty": 1.2, "seed": 3},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Qwen3Next:
    return load_tiny(write_checkpoint(tmp_path_factory.mktemp("model"), seed=13, mtp=True))


def predicted(model: Qwen3Next, text: list[int], depth: int) -> list[int]:
    """The layer's best guesses after a text, by one pass over all of it for each."""
    assert model.mtp is not None
    hidden = model.hidden(mx.array([text]), model.state())
    tokens, states = text[1:], hidden[:, :-1]
    drafts: list[int] = []
    for _ in range(depth):
        state = model.mtp(model.embed(mx.array([tokens])), states, model.mtp_kv())[:, -1:]
        drafts.append(int(mx.argmax(model.head(state)[0, -1]).item()))
        tokens, states = [*tokens, drafts[-1]], mx.concatenate([states, state], axis=1)
    return drafts


class Compared(MtpDrafter):
    """Holds every proposal against passes over the whole text."""

    compared = 0

    def begin(self, tokens, state) -> None:
        self.text = list(tokens)
        super().begin(tokens, state)

    def learn(self, tokens) -> None:
        self.text += tokens

    def propose(self, token, depth, sampler):
        drafts = super().propose(token, depth, sampler)
        assert drafts.tolist() == predicted(self._model, self.text, depth)
        self.compared += 1
        return drafts


def test_the_first_draft_is_continued_where_the_text_has_it(model: Qwen3Next) -> None:
    text = list(PROMPT)
    chain = predicted(model, text, 3)
    last, first = text[-1], chain[0]

    def proposed(known: list[int], depth: int) -> list[int]:
        lookup, state = LookupDrafter(), model.state()
        drafter = MtpDrafter(model, 3, lookup)
        drafter.begin((), state)
        drafter.follow(mx.array(text[:-1]), model.hidden(mx.array([text[:-1]]), state))
        lookup.begin(known, None)
        drafts = drafter.propose(last, depth, Sampler(SamplingParameters(temperature=0), 256))
        assert drafts is not None
        return cast(list[int], drafts.tolist())

    assert proposed([last, first, 5, 6, 7, 9, last], 4) == [first, 5, 6, 7]
    assert proposed([last, first, 5, 6, 7, 9, last], 1) == [first]
    # Nothing to go on with: the layer's own drafts, as deep as it goes.
    assert proposed([9, last], 16) == chain


def test_replies_with_continued_drafts_are_those_of_plain_decoding(model: Qwen3Next) -> None:
    plain, _ = reply(drafting_generator(model), asked(PROMPT * 2, 60))
    lookup = LookupDrafter()
    generator = drafting_generator(model, lookup, MtpDrafter(model, 3, lookup))
    assert reply(generator, asked(PROMPT * 2, 60))[0] == plain


def test_every_draft_is_what_the_layer_says_of_the_whole_text(model: Qwen3Next) -> None:
    plain, _ = reply(drafting_generator(model), asked(PROMPT, 60))
    mtp = Compared(model)
    oracle = Oracle([*PROMPT, *plain], 256, 3)
    states = StoredStates(model, PrefixStore(1 << 28))
    generator = drafting_generator(model, mtp, oracle, policy=Depths(4), states=states, chunk=16)
    tokens, _ = reply(generator, asked(PROMPT, 25))
    # It goes on from the last generation's state, and the layer with it.
    more, finished = reply(generator, asked((*PROMPT, *plain[:26]), 34))
    assert [*tokens, plain[25], *more] == plain
    assert finished.cached_tokens >= len(PROMPT) + 24
    assert mtp.compared > 10


def test_a_state_that_is_taken_back_takes_the_layer_back_with_it(model: Qwen3Next) -> None:
    prompt = PROMPT[:20]
    plain, _ = reply(drafting_generator(model), asked(prompt, 50))
    drafter = Compared(model)
    states = StoredStates(model, PrefixStore(1 << 28))
    generator = drafting_generator(model, drafter, policy=Depths(2), states=states)
    broken_off, _ = reply(generator, asked(prompt, 60), lambda count: count == 30)
    compared = drafter.compared
    more, finished = reply(generator, asked((*prompt, *broken_off), 20))
    assert [*broken_off, *more] == plain
    # Nothing of what the layer has seen was lost: it says what it would say of the whole text.
    assert len(prompt) < finished.cached_tokens < len(prompt) + 30 and drafter.compared > compared + 5


class Call:
    """A tool call that opens with the token at a place of the reply and never closes; anything may be in it."""

    def __init__(self, opens: int) -> None:
        self._left = opens

    @property
    def active(self) -> bool:
        return self._left < 0

    def advance(self, token: int) -> None:  # noqa: ARG002
        self._left -= 1

    def mask(self) -> NDArray[np.bool_]:
        return np.ones(256, dtype=np.bool_)

    def check(self, drafts: Sequence[int]) -> tuple[int, None]:
        return len(drafts), None


def test_a_reply_left_late_in_a_call_goes_on_from_the_words_before_it(model: Qwen3Next) -> None:
    prompt, words = PROMPT[:20], 20
    states = StoredStates(model, PrefixStore(1 << 28))
    generator = drafting_generator(model, MtpDrafter(model), policy=Depths(1), states=states)
    broken_off, _ = reply(generator, asked(prompt, 200, lambda: Call(words)), lambda count: count == 110)
    drafter = Compared(model)
    again = drafting_generator(model, drafter, policy=Depths(2), states=states)
    longer = (*prompt, *broken_off[:words], 7, 8)
    more, finished = reply(again, asked(longer, 12))
    assert more == reply(drafting_generator(model), asked(longer, 12))[0]
    assert len(prompt) + words - 16 <= finished.cached_tokens <= len(prompt) + words
    # The layer too still knows all of the text.
    assert drafter.compared > 2


@pytest.mark.parametrize("sampling", SAMPLED, ids=["greedy", "sampled"])
def test_replies_are_those_of_plain_decoding(model: Qwen3Next, sampling: dict[str, float]) -> None:
    plain, _ = reply(drafting_generator(model), asked(PROMPT, 80, **sampling))
    for most in (1, 4):
        generator = drafting_generator(model, MtpDrafter(model), policy=Depths(most))
        tokens, finished = reply(generator, asked(PROMPT, 80, **sampling))
        assert tokens == plain
        assert finished.drafted_tokens >= 80 / (most + 1)


def test_a_layer_that_is_always_right_is_always_accepted(tmp_path: Path) -> None:
    """A head that sees nothing but a constant predicts as the model does."""
    model = load_tiny(write_checkpoint(tmp_path / "constant", seed=1, mtp=True))
    model.norm.weight = model.norm.weight * 0
    assert model.mtp is not None
    model.mtp.norm.weight = model.mtp.norm.weight * 0
    generator = drafting_generator(model, MtpDrafter(model), policy=Depths(4))
    _, finished = reply(generator, asked(PROMPT, 60, temperature=1.0, seed=1))
    assert finished.drafted_tokens == finished.accepted_tokens > 30


@pytest.mark.parametrize("kept_in", [pytest.param("memory", marks=pytest.mark.slow), "files"])
def test_after_a_stored_snapshot_the_layer_knows_the_whole_text(
    model: Qwen3Next, tmp_path: Path, kept_in: str
) -> None:
    store = PrefixStore(1 << 28)
    if kept_in == "files":
        store = PrefixStore(1 << 28, DiskTier(tmp_path, "f" * 32, {}))
    first = drafting_generator(model, MtpDrafter(model), states=StoredStates(model, store), chunk=16)
    # Snapshots in mid-prompt, so that what is restored comes in several segments.
    tokens, _ = reply(first, replace(asked(PROMPT, 20), boundaries=(10, 30)))
    store.flush()
    if kept_in == "files":
        store = PrefixStore(1 << 28, DiskTier(tmp_path, "f" * 32, {}))
    states = StoredStates(model, store)
    drafter = Compared(model)
    again = drafting_generator(model, drafter, policy=Depths(4), states=states)
    prompt = (*PROMPT, *tokens, 7, 8)
    more, finished = reply(again, asked(prompt, 40))
    assert finished.cached_tokens == len(PROMPT) + 19
    assert drafter.compared > 5
    assert more == reply(drafting_generator(model), asked(prompt, 40))[0]
    left = states.begin((*prompt, *more, 1))
    assert_cold(model, (*prompt, *more)[: left.length], left)


def test_after_a_snapshot_that_was_made_without_the_layer_it_begins_anew(model: Qwen3Next) -> None:
    states = StoredStates(model, PrefixStore(1 << 28))
    reply(drafting_generator(model, states=states), replace(asked(PROMPT, 0), boundaries=(40,)))
    drafter = MtpDrafter(model)
    again = drafting_generator(model, drafter, policy=Depths(4), states=states)
    tokens, finished = reply(again, asked(PROMPT, 40))
    assert finished.cached_tokens == 40 and finished.drafted_tokens > 0
    assert tokens == reply(drafting_generator(model), asked(PROMPT, 40))[0]
    left = states.begin((*PROMPT, *tokens, 1))
    assert left.pairs is not None and left.pairs.first == 41


class Inattentive(Depths):
    """Lets drafters see some of the passes."""

    def follows(self, source: str) -> bool:  # noqa: ARG002
        return self._random.random() < 0.7


def test_passes_that_the_layer_does_not_see_change_no_reply_and_stay_out_of_snapshots(
    model: Qwen3Next,
) -> None:
    states = StoredStates(model, PrefixStore(1 << 28))
    generator = drafting_generator(model, MtpDrafter(model), policy=Inattentive(4), states=states)
    plain, _ = reply(drafting_generator(model), asked(PROMPT, 90))
    tokens, finished = reply(generator, asked(PROMPT, 50))
    more, _ = reply(generator, asked((*PROMPT, *tokens), 40))
    assert [*tokens, *more] == plain and finished.drafted_tokens > 10
    left = states.begin((*PROMPT, *plain, 1))
    assert left.pairs is not None and left.pairs.length == left.length
    assert 60 < left.pairs.kv.length < left.length - 5
    pairs_end = left.pairs.first + left.pairs.kv.length + left.pairs.gathered
    # Where the last pass was not seen, the next token has no pair.
    assert pairs_end == left.length + (left.pairs.last is None)
    again = model.state()
    known = states._store.lookup(as_tokens((*PROMPT, *plain, 1)))
    assert known is not None
    again.restore(known)
    assert again.pairs is None


def test_long_stretches_without_drafts_hold_on_to_few_states(model: Qwen3Next) -> None:
    drafter = MtpDrafter(model)
    state = model.state()
    drafter.begin((), state)
    for token in range(300):
        tokens = mx.array([token % 256])
        drafter.follow(tokens, model.hidden(tokens[None], state))
        assert state.pairs is not None and state.pairs.gathered < 256
    drafts = drafter.propose(1, 4, Sampler(SamplingParameters(temperature=0), 256))
    assert drafts is not None
    assert drafts.tolist() == predicted(model, [*(token % 256 for token in range(300)), 1], 4)
