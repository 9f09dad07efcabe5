"""The engine's thread, and its queue of requests.

Only this thread loads, runs and closes the model. Requests are admitted in the order of arrival, as many at
once as the generator has room for; the others wait. Those under way compute in turns, piece by piece
(mlx_model/server/sharing.py). A request whose client has disconnected is skipped, or ended at its next piece.
"""

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from mlx_model.chat.prompt import PromptEncoder
from mlx_model.chat.tools.grammar import ToolGrammar
from mlx_model.decode.request import (
    GenerationEvent,
    GenerationPort,
    GenerationRequest,
    GeneratorPort,
    SamplingParameters,
)
from mlx_model.errors import EngineError
from mlx_model.server.sharing import Chunk, Row, Sharing

_log = logging.getLogger(__name__)


class AdapterShelf(Protocol):
    """The adapters of a model. Safe from any thread."""

    def resolve(self, asked: str | None) -> str:
        """The adapter of a request, for GenerationRequest.adapter, from what it asks for. Raises
        RequestError for one that there is not."""
        ...

    def listed(self) -> Sequence[Mapping[str, Any]]:
        """All adapters, for display."""
        ...


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A loaded model with everything that serving it takes. `details`: current facts for display; `settle`
    waits until all stored states are on disk; `close` is called on the engine's thread when it ends."""

    name: str
    generator: GeneratorPort[Any]
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
    adapters: AdapterShelf | None = None
    """The adapters that requests may name; None: the model's adapter, if any, stays."""
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
    generation: GenerationPort | None = None
    """Once it is admitted."""

    def row(self) -> Row:
        """It, as the decision who computes next sees it."""
        assert self.generation is not None
        return Row(self.generation.prompt_left, self.generation.next_chunk, self.cancelled.is_set())


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
        self._serve(self._model)
        self._state = EngineState("stopped")
        self._model.close()

    def _serve(self, model: ServedModel) -> None:
        """Until it is stopped and every request has ended."""
        waiting: deque[_Job] = deque()
        running: list[_Job] = []
        sharing = Sharing()
        stopped, changed = False, True
        while not stopped or waiting or running:
            arrived = list(self._arrived()) if waiting or running else [self._next_job(model)]
            stopped = stopped or None in arrived
            waiting.extend(job for job in arrived if job is not None)
            if arrived or changed:  # for it looks at the machine's memory
                running += self._admitted(model.generator, waiting, running)
            if running:
                work = sharing.next([job.row() for job in running])
                rows = (work.row,) if isinstance(work, Chunk) else work.rows
                self._compute(model.generator, [running[row] for row in rows])
            going = [job for job in running if job.generation is not None]
            running, changed = going, len(going) < len(running)

    def _arrived(self) -> Iterator[_Job | None]:
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._jobs.get_nowait()

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

    def _admitted(
        self, generator: GeneratorPort[Any], waiting: deque[_Job], running: Sequence[_Job]
    ) -> list[_Job]:
        """Begins the requests that there is room for, in order, and takes them from `waiting`."""
        admitted: list[_Job] = []
        while waiting:
            job = waiting[0]
            if job.cancelled.is_set():
                self._end(waiting.popleft())
                continue
            if not generator.admits([one.request for one in (*running, *admitted)], job.request):
                break
            waiting.popleft()
            with self._failing(job):
                job.generation = generator.begin(job.request, job.cancelled.is_set)
                self._compute(generator, [job])
            if job.generation is not None:
                admitted.append(job)
        return admitted

    def _compute(self, generator: GeneratorPort[Any], jobs: Sequence[_Job]) -> None:
        """A piece of work of these requests; those that have ended have no generation any more."""
        if len(jobs) == 1:
            (job,) = jobs
            assert job.generation is not None
            with self._failing(job):
                for event in job.generation.step():
                    job.deliver(event)
        else:
            by_generation = {job.generation: job for job in jobs}
            with self._failing(*jobs):
                for generation, happened in generator.together(list(by_generation)):
                    job = by_generation[generation]
                    if isinstance(happened, Exception):
                        with self._failing(job):
                            raise happened
                    else:
                        job.deliver(happened)
        for job in jobs:
            if job.generation is not None and job.generation.ended:
                self._end(job)

    def _end(self, job: _Job, error: EngineError | None = None) -> None:
        if job.generation is not None:
            job.generation.close()
            job.generation = None
        stopping = EngineStopping("The engine is shutting down.") if self._stopping.is_set() else None
        job.deliver(error or stopping)

    @contextlib.contextmanager
    def _failing(self, *jobs: _Job) -> Iterator[None]:
        """What is raised within ends these requests, and not the engine."""
        try:
            yield
        except EngineError as error:
            failed: EngineError = error
        except Exception as error:  # noqa: BLE001 (one reply's failure must not end the engine)
            _log.exception("A generation failed.")
            failed = GenerationFailed(f"The reply could not be made: {type(error).__name__}: {error}")
        else:
            return
        for job in jobs:
            if job.generation is not None or len(jobs) == 1:
                self._end(job, failed)
