"""A generator guarded against memory shortage: it checks a request's memory, relieves pressure while it runs,
and survives failed allocations. It also counts expert reads."""

import gc
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import mlx.core as mx
from typing_extensions import override

from mlx_model.decode.request import (
    GenerationEvent,
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


class OutOfMemory(EngineError):
    """A reply needed more memory than there was; the reply is lost, and the engine continues to serve."""


class GuardedGenerator(GeneratorPort):
    """A GeneratorPort over another one. `request_bytes`: bytes that a prompt of given length takes, None where
    that is not known; `available`: bytes free for it."""

    def __init__(
        self,
        generator: GeneratorPort,
        relief: Relief,
        residency: Residency | None = None,
        *,
        request_bytes: Callable[[int], int] | None = None,
        available: Callable[[], int] = available_bytes,
    ) -> None:
        self._generator = generator
        self._relief = relief
        self._residency = residency
        self._request_bytes = request_bytes
        self._available = available

    @property
    @override
    def context_length(self) -> int:
        return self._generator.context_length

    @override
    def generate(self, request: GenerationRequest, cancelled: Callable[[], bool]) -> Iterator[GenerationEvent]:
        """As the port says. The iterator raises OutOfMemory where an allocation fails, and before the first
        event where one would: some systems kill a process that allocates too much."""
        return self._events(self._generator.generate(request, cancelled), len(request.prompt))

    def _events(self, events: Iterator[GenerationEvent], prompt: int) -> Iterator[GenerationEvent]:
        self._check_room(prompt)
        before = None if self._residency is None else self._residency.counted()
        try:
            for event in events:
                yield event if before is None else self._with_experts(event, before)
                self._relief.look()
            return
        except (MemoryError, RuntimeError) as error:
            if self._residency is not None:
                self._residency.abandon()
            if isinstance(error, RuntimeError) and not _ALLOCATION_FAILED.search(str(error)):
                raise
        # Outside the handler no traceback refers to the reply's arrays any more, so they can be freed.
        del events
        gc.collect()
        mx.clear_cache()
        self._relief.release_all()
        raise OutOfMemory(
            f"There was not enough memory to go on with this reply, whose prompt has {prompt:,} tokens; "
            "shorten the conversation, or close other programs. The engine is ready again."
        )

    def _with_experts(self, event: GenerationEvent, before: ExpertCounts) -> GenerationEvent:
        """The event, with the experts needed and read since `before` added to its costs."""
        if self._residency is None or isinstance(event, PromptProcessed):
            return event
        counted = self._residency.counted() - before
        costs: dict[str, Any] = {
            "experts_needed": counted.needed,
            "experts_read": counted.read,
            "expert_bytes_read": counted.nbytes,
        }
        if isinstance(event, TokenGenerated):
            return replace(event, costs=replace(event.costs, **costs))
        return replace(event, **costs)

    def _check_room(self, prompt: int) -> None:
        if self._request_bytes is None:
            return
        needed = self._request_bytes(prompt) + _OVERHEAD_BYTES
        self._relief.release_until(lambda: needed <= self._available())
        available = self._available()
        if needed > available:
            raise OutOfMemory(
                f"There is not enough memory for this request: {prompt:,} tokens of prompt take "
                f"{needed / 1e9:.2f} GB and {available / 1e9:.2f} GB are free; shorten the conversation, or "
                "close other programs."
            )
