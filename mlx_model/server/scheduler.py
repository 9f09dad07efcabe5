"""The engine's thread, and its queue of requests.

Only this thread loads, runs and closes the model. Requests are served one at a time, in the order of arrival; a
request whose client has disconnected is skipped, or ended at its next token.
"""

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mlx_model.chat.prompt import PromptEncoder
from mlx_model.chat.tools.grammar import ToolGrammar
from mlx_model.decode.request import (
    GenerationEvent,
    GenerationRequest,
    GeneratorPort,
    SamplingParameters,
)
from mlx_model.errors import EngineError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A loaded model with everything that serving it takes. `details`: current facts for display; `settle`
    waits until all stored states are on disk; `close` is called on the engine's thread when it ends."""

    name: str
    generator: GeneratorPort
    encoder: PromptEncoder
    details: Callable[[], Mapping[str, str]] = dict
    keeps_prefixes: bool = False
    """Whether the states of prompts outlive this process, so that a client may warm them beforehand."""
    settle: Callable[[], None] = lambda: None
    close: Callable[[], None] = lambda: None
    rest: Callable[[float], float | None] = lambda _: None
    """Called on the engine's thread between requests, with the seconds since the last request or key press;
    returns the seconds until the next call, None for not before the next request."""
    memory: Callable[[], Mapping[str, object]] = dict
    """Memory pressure and released reserves, for /health."""
    sampling: SamplingParameters = field(default_factory=SamplingParameters)
    """The sampling parameters that a request leaves out."""
    grammar: ToolGrammar | None = None
    """Constrains tool calls to the registered tools; None: they are free."""


Loader = Callable[[Callable[[float], None]], ServedModel]
"""Loads a model, reporting progress from 0 to 1. Raises EngineError."""


class GenerationFailed(EngineError):
    """A reply failed, for a reason outside the request. The engine continues to serve."""


class EngineStopping(EngineError):
    """The engine is shutting down; unfinished replies are cancelled."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """loading (with progress, 0 to 1), ready, failed (with the error), or stopped."""

    phase: Literal["loading", "ready", "failed", "stopped"]
    progress: float = 0.0
    error: EngineError | None = None


@dataclass(slots=True, eq=False)
class _Job:
    request: GenerationRequest
    cancelled: threading.Event
    deliver: Callable[[GenerationEvent | EngineError | None], None]


class Scheduler:
    """Runs generations on the engine's thread for callers on an event loop."""

    def __init__(self, load: Loader) -> None:
        self._load = load
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._unfinished: set[_Job] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._state = EngineState("loading")
        self._attended = 0.0
        self._model: ServedModel | None = None
        self._listener: Callable[[], None] = lambda: None
        # A daemon, so that a load that hangs cannot keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    @property
    def state(self) -> EngineState:
        """The engine's phase."""
        return self._state

    @property
    def model(self) -> ServedModel | None:
        """The model, once it is ready."""
        return self._model

    def start(self, listener: Callable[[], None]) -> None:
        """Starts loading. `listener` is called on the engine's thread when loading has succeeded or failed."""
        self._listener = listener
        self._thread.start()

    def stop(self) -> None:
        """Cancels all replies, the running one at its next token. Returns at once."""
        with self._lock:
            self._stopping.set()
            for job in self._unfinished:
                job.cancelled.set()
            self._jobs.put(None)

    def attend(self) -> None:
        """The user is active, so a request is likely soon: weights are kept resident. Safe from any thread."""
        self._attended = time.monotonic()

    def join(self, seconds: float) -> None:
        """Waits for the thread to end."""
        self._thread.join(seconds)

    async def events(
        self, request: GenerationRequest, cancelled: threading.Event
    ) -> AsyncGenerator[GenerationEvent]:
        """The events of one generation. Setting `cancelled`, or closing the iterator, ends it at the next
        token.

        Raises RequestError when the generator refuses the request, GenerationFailed when it fails, and
        EngineStopping when the engine ends first.
        """
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[GenerationEvent | EngineError | None] = asyncio.Queue()

        def deliver(event: GenerationEvent | EngineError | None) -> None:
            # The loop is closed if the server has ended meanwhile.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(arrived.put_nowait, event)

        job = _Job(request, cancelled, deliver)
        with self._lock:
            if self._stopping.is_set():
                raise EngineStopping("The engine is shutting down.")
            self._unfinished.add(job)
            self._jobs.put(job)
        try:
            while (event := await arrived.get()) is not None:
                if isinstance(event, EngineError):
                    raise event
                yield event
        finally:
            cancelled.set()
            with self._lock:
                self._unfinished.discard(job)

    def _run(self) -> None:
        try:
            self._model = self._load(self._report)
            self._state = EngineState("ready", 1.0)
        except EngineError as error:
            self._state = EngineState("failed", error=error)
        except Exception as error:  # noqa: BLE001 (the outermost frame: whatever it is has to be said)
            _log.exception("Loading failed.")
            self._state = EngineState("failed", error=EngineError(f"The model cannot be loaded: {error}"))
        self._listener()
        if self._model is None:
            return
        while (job := self._next_job(self._model)) is not None:
            self._answer(self._model.generator, job)
        self._state = EngineState("stopped")
        self._model.close()

    def _next_job(self, model: ServedModel) -> _Job | None:
        """The next request; until there is one, the model's periodic work runs (ServedModel.rest)."""
        since = time.monotonic()
        while True:
            try:
                idle = time.monotonic() - max(since, self._attended)
                return self._jobs.get(timeout=self._rest(model, idle))
            except queue.Empty:
                continue

    @staticmethod
    def _rest(model: ServedModel, idle: float) -> float | None:
        try:
            return model.rest(idle)
        except Exception:  # noqa: BLE001 (an engine that does not look after itself answers all the same)
            _log.exception("The engine's upkeep failed.")
            return None

    def _report(self, progress: float) -> None:
        if self._stopping.is_set():
            raise EngineStopping("The engine was stopped while it was loading.")
        self._state = EngineState("loading", min(1.0, max(0.0, progress)))

    def _answer(self, generator: GeneratorPort, job: _Job) -> None:
        try:
            if not job.cancelled.is_set():
                for event in generator.generate(job.request, job.cancelled.is_set):
                    job.deliver(event)
            job.deliver(EngineStopping("The engine is shutting down.") if self._stopping.is_set() else None)
        except EngineError as error:
            job.deliver(error)
        except Exception as error:  # noqa: BLE001 (one reply's failure must not end the engine)
            _log.exception("A generation failed.")
            job.deliver(GenerationFailed(f"The reply could not be made: {type(error).__name__}: {error}"))
