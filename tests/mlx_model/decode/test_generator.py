"""Generation: what is reported, what is cached, when it ends."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import mlx.core as mx
import pytest

from mlx_model.decode.generator import Generator
from mlx_model.decode.language_model import NothingKept
from mlx_model.decode.request import (
    GenerationEvent,
    GenerationFinished,
    GenerationRequest,
    PromptProcessed,
    SamplingParameters,
    TokenGenerated,
)
from mlx_model.engine.state_keeper import StoredStates
from mlx_model.errors import RequestError
from mlx_model.model import Qwen3Next
from mlx_model.state.prefix_store import PrefixStore
from tests.support.weights.checkpoints import write_checkpoint
from tests.support.weights.models import load_tiny

GREEDY = SamplingParameters(temperature=0)
PROMPT = tuple(range(1, 90))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Qwen3Next:
    return load_tiny(write_checkpoint(tmp_path_factory.mktemp("model"), seed=3))


def request(prompt: tuple[int, ...] = PROMPT, max_tokens: int = 12, **fields: Any) -> GenerationRequest:
    return GenerationRequest(prompt, max_tokens, fields.pop("stop", frozenset()), GREEDY, **fields)


def generator(model: Qwen3Next, **options: Any) -> Generator[Any]:
    return Generator(model, NothingKept(model), **options)


def cached_generator(model: Qwen3Next) -> Generator[Any]:
    return Generator(model, StoredStates(model, PrefixStore(1 << 28)), chunk=32)


def run(generator: Generator[Any], asked: GenerationRequest) -> tuple[list[int], GenerationFinished]:
    events = list(generator.generate(asked, lambda: False))
    finished = events[-1]
    assert isinstance(finished, GenerationFinished)
    assert sum(isinstance(event, GenerationFinished) for event in events) == 1
    return tokens_of(events), finished


def tokens_of(events: list[GenerationEvent]) -> list[int]:
    return [event.token for event in events if isinstance(event, TokenGenerated)]


def greedy(model: Qwen3Next, prompt: tuple[int, ...], count: int) -> list[int]:
    """The same by a fresh pass over everything for every token."""
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(int(mx.argmax(model.last_logits(mx.array([tokens]), model.state())).item()))
    return tokens[len(prompt) :]


def test_greedy_decoding_is_a_fresh_pass_for_every_token(model: Qwen3Next) -> None:
    tokens, finished = run(generator(model, chunk=32), request())
    assert tokens == greedy(model, PROMPT, 12)
    assert (finished.reason, finished.generated_tokens, finished.prompt_tokens) == ("length", 12, 89)


def test_it_ends_with_the_stop_token_where_the_limit_is_and_where_the_context_is_full(model: Qwen3Next) -> None:
    plain, _ = run(generator(model), request())
    stopped, finished = run(generator(model), request(stop=frozenset({plain[5]})))
    assert (stopped, finished.reason) == (plain[: plain.index(plain[5]) + 1], "stop")
    full, finished = run(generator(model, context_length=93), request())
    assert (full, finished.reason) == (plain[:4], "length")
    one, finished = run(generator(model), request(max_tokens=1))
    assert (one, finished.reason) == (plain[:1], "length")


def test_prefill_is_reported_after_every_chunk(model: Qwen3Next) -> None:
    events = list(generator(model, chunk=40).generate(request(boundaries=(10,)), lambda: False))
    processed = [event for event in events if isinstance(event, PromptProcessed)]
    assert [event.processed for event in processed] == [0, 10, 40, 80, 89]
    assert all(event.total == 89 and event.cached == 0 for event in processed)


def test_cancelling_ends_it_after_the_chunk_or_token_under_way(model: Qwen3Next) -> None:
    cancelled = False
    events: Iterator[GenerationEvent] = generator(model, chunk=40).generate(request(), lambda: cancelled)
    assert [getattr(next(events), "processed", None) for _ in range(2)] == [0, 40]
    cancelled = True
    (finished,) = events
    assert isinstance(finished, GenerationFinished)
    assert (finished.reason, finished.generated_tokens) == ("cancelled", 0)

    seen: list[int] = []
    for event in generator(model).generate(request(), lambda: len(seen) == 3):
        if isinstance(event, TokenGenerated):
            seen.append(event.token)
    assert isinstance(event, GenerationFinished)
    assert (event.reason, len(seen)) == ("cancelled", 3)


def test_a_conversation_goes_on_from_where_its_reply_ended(model: Qwen3Next) -> None:
    cached = cached_generator(model)
    reply, _ = run(cached, request())
    longer = (*PROMPT, *reply, 7, 8, 9)
    tokens, finished = run(cached, request(longer))
    # The last token of the reply was never fed to the model.
    assert finished.cached_tokens == len(PROMPT) + len(reply) - 1
    assert tokens == run(generator(model), request(longer))[0]


def test_a_branch_goes_on_from_the_boundary_it_shares(model: Qwen3Next) -> None:
    cached = cached_generator(model)
    run(cached, request(boundaries=(20, 50)))
    branch = (*PROMPT[:60], 200, 201)
    tokens, finished = run(cached, request(branch))
    assert finished.cached_tokens == 50
    assert tokens == run(generator(model), request(branch))[0]


def test_a_cancelled_prefill_is_not_lost(model: Qwen3Next) -> None:
    cached = cached_generator(model)
    answers = iter([False, True])
    list(cached.generate(request(), lambda: next(answers)))
    tokens, finished = run(cached, request())
    assert finished.cached_tokens == 64
    assert tokens == run(generator(model), request())[0]


def test_a_model_runs_in_another_thread_than_the_one_that_loaded_it(model: Qwen3Next) -> None:
    with ThreadPoolExecutor(1) as other:
        tokens, _ = other.submit(run, generator(model), request()).result()
    assert tokens == run(generator(model), request())[0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (request(()), "empty"),
        (request(tuple(range(200))), "200 tokens"),
        (request((1, 256)), "Token 256"),
        (request((1, -1)), "Token -1"),
        (request(max_tokens=-1), "max_tokens"),
        (replace(request(), sampling=SamplingParameters(temperature=float("nan"))), "temperature"),
        (replace(request(), sampling=SamplingParameters(top_p=0)), "top_p"),
        (replace(request(), sampling=SamplingParameters(top_k=-1)), "top_k"),
        (replace(request(), sampling=SamplingParameters(repetition_penalty=0)), "repetition_penalty"),
    ],
)
def test_what_cannot_be_done_is_said_before_the_first_event(
    model: Qwen3Next, asked: GenerationRequest, said: str
) -> None:
    with pytest.raises(RequestError, match=said):
        generator(model, context_length=150).generate(asked, lambda: False)
