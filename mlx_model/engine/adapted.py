"""A generator whose requests name the adapter that they are computed under."""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic

from typing_extensions import override

from mlx_model.decode.request import GenerationEvent, GenerationRequest, GenerationT, GeneratorPort
from mlx_model.engine.adapters import Adapters


class AdaptedGenerator(GeneratorPort[GenerationT], Generic[GenerationT]):
    """A GeneratorPort over another one. A model has one adapter on at a time, so requests with the same one are
    served beside each other, and one with another waits for those before it to end."""

    def __init__(self, generator: GeneratorPort[GenerationT], adapters: Adapters) -> None:
        self._generator = generator
        self._adapters = adapters

    @property
    @override
    def context_length(self) -> int:
        return self._generator.context_length

    @override
    def admits(self, running: Sequence[GenerationRequest], request: GenerationRequest) -> bool:
        return all(one.adapter == request.adapter for one in running) and self._generator.admits(
            running, request
        )

    @override
    def begin(self, request: GenerationRequest, cancelled: Callable[[], bool]) -> GenerationT:
        """As the port says. Raises CheckpointError or ConfigError too, where the adapter cannot be taken."""
        self._adapters.use(request.adapter)
        return self._generator.begin(request, cancelled)

    @override
    def together(
        self, generations: Sequence[GenerationT]
    ) -> Iterator[tuple[GenerationT, GenerationEvent | Exception]]:
        return self._generator.together(generations)
