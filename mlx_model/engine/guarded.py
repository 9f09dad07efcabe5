"""A generator guarded against memory shortage: it checks a request's memory, relieves pressure while it runs,
and survives failed allocations. It also counts expert reads."""

import gc
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import mlx.core as mx
from typing_extensions import override

from mlx_model.decode.request import (
    GenerationEvent,
    GenerationPort,
    GenerationRequest,
    GeneratorPort,
    PromptProcessed,
    TokenGenerated,
)
from mlx_model.errors import EngineError
from mlx_model.memory.machine import available_bytes
from mlx_model.memory.relief import Relief
from mlx_model.weights.experts.residency import ExpertCounts, Residency

_ALLOCATION_FAILED = re.compile(
    r"unable to allocate|malloc|bad_alloc|insufficient memory|out of memory|maximum allowed buffer size",
    re.IGNORECASE,
)
"""The messages of MLX's allocators, Metal and C++ for a failed allocation."""

_OVERHEAD_BYTES = 1 << 25
"""Memory for the server, the tokenizer and Python while a request runs."""

_REPLY_TOKENS = 4096
"""Tokens of a reply that are counted when requests are admitted beside each other: few are longer, and clients
seldom set a limit."""


class OutOfMemory(EngineError):
    """A reply needed more memory than there was; the reply is lost, and the engine continues to serve."""


class _Guarded(GenerationPort):
    """A generation that is watched while it computes. `experts`: counted in its passes so far."""

    def __init__(self, guard: "GuardedGenerator", inner: GenerationPort, prompt: int) -> None:
        self._guard = guard
        self.inner = inner
        self.prompt = prompt
        self.experts = ExpertCounts()
        self._begun = False

    @property
    @override
    def ended(self) -> bool:
        return self.inner.ended

    @property
    @override
    def prompt_left(self) -> int:
        return self.inner.prompt_left

    @property
    @override
    def next_chunk(self) -> int:
        return self.inner.next_chunk

    @override
    def step(self) -> Iterator[GenerationEvent]:
        """As the port says. Raises OutOfMemory where an allocation fails, and before the first event where one
        would: some systems kill a process that allocates too much."""
        if not self._begun:
            self._begun = True
            self._guard.check_room(self.prompt)
        for _, event in self._guard.watched([self], ((self, event) for event in self.inner.step())):
            assert not isinstance(event, Exception)
            yield event

    @override
    def close(self) -> None:
        self.inner.close()


class GuardedGenerator(GeneratorPort[_Guarded]):
    """A GeneratorPort over another one. `request_bytes`: bytes that a prompt of given length takes, None where
    that is not known; `available`: bytes free for it; `fits`: whether the memory plan has room for
    conversations of these lengths in tokens at once."""

    def __init__(
        self,
        generator: GeneratorPort[Any],
        relief: Relief,
        residency: Residency | None = None,
        *,
        request_bytes: Callable[[int], int] | None = None,
        available: Callable[[], int] = available_bytes,
        fits: Callable[[Sequence[int]], bool] = lambda _: True,
    ) -> None:
        self._generator = generator
        self._relief = relief
        self._residency = residency
        self._request_bytes = request_bytes
        self._available = available
        self._fits = fits

    @property
    @override
    def context_length(self) -> int:
        return self._generator.context_length

    @override
    def admits(self, running: Sequence[GenerationRequest], request: GenerationRequest) -> bool:
        """As the port says. One that memory is too short for at the moment waits for the others to end."""
        if not running:
            return True
        lengths = [
            min(len(one.prompt) + min(one.max_tokens, _REPLY_TOKENS), self.context_length)
            for one in (*running, request)
        ]
        return (
            self._generator.admits(running, request)
            and self._fits(lengths)
            # Cached buffers are the first thing that is released for it.
            and self._needed(len(request.prompt)) <= self._available() + mx.get_cache_memory()
        )

    @override
    def begin(self, request: GenerationRequest, cancelled: Callable[[], bool]) -> _Guarded:
        return _Guarded(self, self._generator.begin(request, cancelled), len(request.prompt))

    @override
    def together(
        self, generations: Sequence[_Guarded]
    ) -> Iterator[tuple[_Guarded, GenerationEvent | Exception]]:
        outer = {generation.inner: generation for generation in generations}
        events = self._generator.together(list(outer))
        return self.watched(generations, ((outer[inner], event) for inner, event in events))

    def watched(
        self,
        generations: Sequence[_Guarded],
        events: Iterator[tuple[_Guarded, GenerationEvent | Exception]],
    ) -> Iterator[tuple[_Guarded, GenerationEvent | Exception]]:
        """The events of a piece of work of these generations, with the experts that each has needed so far. A
        pass that several share counts for each of them. Raises OutOfMemory where an allocation fails."""
        before = self._counted()
        try:
            for generation, event in events:
                if not isinstance(event, Exception):
                    experts = generation.experts + (self._counted() - before)
                    yield generation, self._with_experts(event, experts)
                elif _is_shortage(event):
                    yield generation, _lost(generation.prompt)
                else:
                    yield generation, event
                self._relief.look()
            for generation in generations:
                generation.experts += self._counted() - before
            return
        except (MemoryError, RuntimeError) as error:
            if self._residency is not None:
                self._residency.abandon()
            if not _is_shortage(error):
                raise
        # Outside the handler no traceback refers to the replies' arrays any more, so they can be freed.
        del events
        for generation in generations:
            generation.close()
        gc.collect()
        mx.clear_cache()
        self._relief.release_all()
        raise _lost(max(generation.prompt for generation in generations))

    def check_room(self, prompt: int) -> None:
        """Releases reserves until there is room for a prompt of so many tokens; raises OutOfMemory where there
        is none."""
        if self._request_bytes is None:
            return
        needed = self._needed(prompt)
        self._relief.release_until(lambda: needed <= self._available())
        available = self._available()
        if needed > available:
            raise OutOfMemory(
                f"There is not enough memory for this request: {prompt:,} tokens of prompt take "
                f"{needed / 1e9:.2f} GB and {available / 1e9:.2f} GB are free; shorten the conversation, or "
                "close other programs."
            )

    def _needed(self, prompt: int) -> int:
        return 0 if self._request_bytes is None else self._request_bytes(prompt) + _OVERHEAD_BYTES

    def _counted(self) -> ExpertCounts:
        return ExpertCounts() if self._residency is None else self._residency.counted()

    def _with_experts(self, event: GenerationEvent, experts: ExpertCounts) -> GenerationEvent:
        """The event, with these experts in its costs."""
        if self._residency is None or isinstance(event, PromptProcessed):
            return event
        costs: dict[str, Any] = {
            "experts_needed": experts.needed,
            "experts_read": experts.read,
            "expert_bytes_read": experts.nbytes,
        }
        if isinstance(event, TokenGenerated):
            return replace(event, costs=replace(event.costs, **costs))
        return replace(event, **costs)


def _is_shortage(error: Exception) -> bool:
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and _ALLOCATION_FAILED.search(str(error)) is not None
    )


def _lost(prompt: int) -> OutOfMemory:
    return OutOfMemory(
        f"There was not enough memory to go on with this reply, whose prompt has {prompt:,} tokens; "
        "shorten the conversation, or close other programs. The engine is ready again."
    )
