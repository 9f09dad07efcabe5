"""A GeneratorPort over events that are simply given, for one request at a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mlx_model.decode.request import (
    GenerationEvent,
    GenerationFinished,
    GenerationPort,
    GenerationRequest,
    GeneratorPort,
)


class Given(GenerationPort):
    """A generation whose steps give one event each."""

    prompt_left = 0
    next_chunk = 0

    def __init__(self, events: Iterator[GenerationEvent]) -> None:
        self._events = events
        self._ended = False

    @property
    def ended(self) -> bool:
        """See GenerationPort."""
        return self._ended

    def step(self) -> Iterator[GenerationEvent]:
        """See GenerationPort."""
        event = next(self._events)
        self._ended = isinstance(event, GenerationFinished)
        yield event

    def close(self) -> None:
        """See GenerationPort."""
        self._ended = True


class OneAtATime(GeneratorPort[Given]):
    """Answers with the events of `answer`."""

    context_length = 100

    def answer(self, request: GenerationRequest, cancelled: Callable[[], bool]) -> Iterator[GenerationEvent]:
        """The events of one generation."""
        raise NotImplementedError

    def admits(self, running: Sequence[GenerationRequest], _request: GenerationRequest) -> bool:
        """See GeneratorPort."""
        return not running

    def begin(self, request: GenerationRequest, cancelled: Callable[[], bool]) -> Given:
        """See GeneratorPort."""
        return Given(self.answer(request, cancelled))

    def together(self, _generations: Sequence[Given]) -> Iterator[tuple[Given, Any]]:
        """See GeneratorPort."""
        raise NotImplementedError
