"""Two clients and more at once: who computes when, without a model."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import mlx.core as mx
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_model.decode.request import (
    GenerationCosts,
    GenerationEvent,
    GenerationFinished,
    GenerationPort,
    GenerationRequest,
    GeneratorPort,
    PromptProcessed,
    TokenGenerated,
)
from mlx_model.engine.guarded import GuardedGenerator
from mlx_model.memory.relief import Relief
from mlx_model.server.scheduler import Scheduler, ServedModel
from mlx_model.server.sharing import PASSING_TOKENS, Chunk, Row, Sharing
from tests.support.patience import LONGEST

CHUNK = 2048


@given(st.lists(st.integers(1, 12_000), min_size=1, max_size=8), st.data())
@settings(max_examples=30)
def test_no_prompt_and_no_reply_is_left_behind(prompts: list[int], data: st.DataObject) -> None:
    """Short prompts keep coming; the oldest one still goes on, and so do the replies."""
    left, sharing = list(prompts), Sharing()
    passed = since_step = 0
    for _ in range(60):
        if len(left) < 8 and data.draw(st.booleans()):
            left.append(data.draw(st.integers(1, 300)))
        rows = [Row(tokens, min(CHUNK, tokens)) for tokens in left]
        work = sharing.next(rows)
        if isinstance(work, Chunk):
            row = rows[work.row]
            assert row.left > 0
            oldest = next(index for index, tokens in enumerate(left) if tokens)
            passed = 0 if work.row == oldest else passed + row.chunk
            assert passed < PASSING_TOKENS + CHUNK
            since_step = since_step + 1 if any(not tokens for tokens in left) else 0
            assert since_step <= 1, "a chunk has a step after it"
            left[work.row] -= row.chunk
        else:
            assert list(work.rows) == [index for index, tokens in enumerate(left) if not tokens]
            since_step = 0
            done = data.draw(st.sampled_from([None, *work.rows]))
            if done is not None and len(left) > 1:
                del left[done]


class Counted(GenerationPort):
    """A generation that notes its pieces of work, and waits at each until the test lets it go on."""

    def __init__(self, engine: "Engine", request: GenerationRequest, cancelled: Callable[[], bool]) -> None:
        self._engine, self._request, self._cancelled = engine, request, cancelled
        self._left, self._begun, self._ended, self._tokens = len(request.prompt), False, False, 0

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def prompt_left(self) -> int:
        return self._left

    @property
    def next_chunk(self) -> int:
        return min(CHUNK, self._left) if self._begun else 0

    def step(self) -> Iterator[GenerationEvent]:
        whole = len(self._request.prompt)
        if not self._begun:
            self._begun = True
        elif self._left:
            self._engine.work(f"chunk of {whole}")
            self._left -= self.next_chunk
        else:
            self._engine.work(f"token of {whole}")
            yield from self.token()
            return
        yield PromptProcessed(whole, 0, whole - self._left, 0.0)

    def token(self) -> Iterator[GenerationEvent]:
        whole = len(self._request.prompt)
        if self._engine.fails_for == whole:
            raise ValueError("a defect of this reply alone")
        self._tokens += 1
        yield TokenGenerated(1, GenerationCosts(0, whole, 0.0, self._tokens, 0.0))
        if self._engine.leaves == whole:
            self._engine.gone.set()
        self._ended = self._cancelled() or self._tokens == self._request.max_tokens
        if self._ended:
            reason: Any = "cancelled" if self._cancelled() else "length"
            yield GenerationFinished(0, whole, 0.0, self._tokens, 0.0, reason=reason)

    def close(self) -> None:
        self._ended = True


class Engine(GeneratorPort[Counted]):
    """Serves `most` requests at once; `log` has every piece of work."""

    context_length = 20_000

    def __init__(self, most: int = 8, fails_for: int | None = None, leaves: int | None = None) -> None:
        """The client with the prompt of length `leaves` is gone after its first token."""
        self.most, self.fails_for, self.leaves = most, fails_for, leaves
        self.gone = threading.Event()
        self.log: list[str] = []
        self.arrived, self.gate = threading.Semaphore(0), threading.Semaphore(0)

    def work(self, name: str) -> None:
        self.log.append(name)
        self.arrived.release()
        assert self.gate.acquire(timeout=LONGEST)

    def admits(self, running: Sequence[GenerationRequest], _request: GenerationRequest) -> bool:
        return len(running) < self.most

    def begin(self, request: GenerationRequest, cancelled: Callable[[], bool]) -> Counted:
        return Counted(self, request, cancelled)

    def together(self, generations: Sequence[Counted]) -> Iterator[tuple[Counted, GenerationEvent | Exception]]:
        self.work(f"step of {len(generations)}")
        for generation in generations:
            try:
                for event in generation.token():
                    yield generation, event
            except ValueError as error:
                yield generation, error


class Served:
    """A scheduler over an Engine, whose work begins when the test has posted what it wants to post."""

    def __init__(self, engine: Engine) -> None:
        encoder: Any = None
        self.engine = engine
        self.scheduler = Scheduler(lambda _: ServedModel("model", engine, encoder))
        self.scheduler.start(lambda: None)
        self._tasks: list[asyncio.Task[Any]] = []

    def post(self, prompt: int, tokens: int, cancelled: threading.Event | None = None) -> asyncio.Task[Any]:
        """Posts a request; its task gives its last event, or what it failed with."""

        async def ask() -> Any:
            request = GenerationRequest((1,) * prompt, tokens, frozenset())
            last: Any = None
            try:
                async for event in self.scheduler.events(request, cancelled or threading.Event()):
                    last = event
            except Exception as error:  # noqa: BLE001 (the test looks at it)
                return error
            return last

        self._tasks.append(asyncio.create_task(ask()))
        return self._tasks[-1]

    async def until_at_work(self) -> None:
        """Until the engine is in the midst of a piece of work."""
        assert await asyncio.to_thread(self.engine.arrived.acquire, True, LONGEST)

    async def finish(self) -> None:
        """Lets everything go on to its end."""
        for _ in range(10_000):
            self.engine.gate.release()
        async with asyncio.timeout(LONGEST):
            await asyncio.gather(*self._tasks)
        self.scheduler.stop()
        self.scheduler.join(LONGEST)


async def test_a_short_request_waits_for_two_chunks_at_most() -> None:
    engine = Engine()
    served = Served(engine)
    served.post(12_000, 5)
    await served.until_at_work()
    served.post(200, 5)
    await asyncio.sleep(0)  # it is posted
    await served.finish()
    first = engine.log.index("token of 200")
    assert engine.log[:first] == ["chunk of 12000", "chunk of 200"]
    assert engine.log[first:].count("chunk of 12000") == 5
    # Replies go on while the long prompt is processed.
    following = engine.log[first + 1 :]
    assert "token of 200" in following[: following.index("chunk of 12000", 1)]


async def test_what_is_not_admitted_waits_in_order() -> None:
    engine = Engine(most=2)
    served = Served(engine)
    for prompt in (10, 20):
        served.post(prompt, 2)
        await asyncio.sleep(0)
    await served.until_at_work()
    for prompt in (30, 40):
        served.post(prompt, 2)
        await asyncio.sleep(0)
    await served.finish()
    chunks = [name for name in engine.log if name.startswith("chunk")]
    assert chunks[2:] == ["chunk of 30", "chunk of 40"]
    assert "step of 2" in engine.log and "step of 3" not in engine.log


def test_one_beside_others_waits_for_the_plan_and_for_memory() -> None:
    free, overhead = 9_000, 1 << 25

    def asked(prompt: int, tokens: int) -> GenerationRequest:
        return GenerationRequest((1,) * prompt, tokens, frozenset())

    guarded = GuardedGenerator(
        Engine(most=3),
        Relief([]),
        request_bytes=lambda tokens: tokens,
        available=lambda: free + overhead,
        fits=lambda lengths: sum(lengths) <= 20_000,
    )
    mx.clear_cache()
    # A reply without a limit counts as 4,096 tokens.
    first = asked(8_000, 100_000)
    assert guarded.admits([first], asked(6_000, 100)) and guarded.admits([first], asked(3_808, 100_000))
    assert not guarded.admits([first], asked(3_809, 100_000)), "the plan has no room"
    assert not guarded.admits([asked(10, 10)], asked(9_500, 100)), "memory is short just now"
    assert guarded.admits([], asked(9_500, 100_000)), "alone it is for check_room to refuse"
    assert not guarded.admits([asked(10, 10)] * 3, asked(10, 10))


async def test_one_that_fails_and_one_that_leaves_do_not_touch_the_others() -> None:
    engine = Engine(fails_for=20, leaves=30)
    served = Served(engine)
    staying, failing, leaving = served.post(10, 6), served.post(20, 6), served.post(30, 6, engine.gone)
    await served.until_at_work()
    await served.finish()
    assert "a defect of this reply alone" in str(failing.result())
    assert leaving.result().reason == "cancelled"
    assert (staying.result().reason, staying.result().generated_tokens) == ("length", 6)
