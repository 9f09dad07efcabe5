"""A GeneratorPort that says what it is told to, and a server in this process with one behind it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from mlx_model.chat.prompt import PromptEncoder
from mlx_model.chat.tools.grammar import ToolGrammar
from mlx_model.decode.request import (
    GenerationCosts,
    GenerationEvent,
    GenerationFinished,
    GenerationRequest,
    PromptProcessed,
    SamplingParameters,
    SourceDrafts,
    TokenGenerated,
    TokenLogprobs,
)
from mlx_model.server.guard import Activity, Guard
from mlx_model.server.http import create_app
from mlx_model.server.listening import listen_on_port
from mlx_model.server.run import QuietServer, answering_pages
from mlx_model.server.scheduler import Scheduler, ServedModel
from tests.support.engine.one_at_a_time import OneAtATime
from tests.support.patience import LONGEST

_DRAFTS = (SourceDrafts("lookup", 2, 1),)


@dataclass
class ScriptedGenerator(OneAtATime):
    """Says each of `replies` in turn, control tokens included. One that ends with "..." goes on until it is
    cancelled, "" waits in its prefill for that, and an exception is raised after the first token."""

    encoder: PromptEncoder
    replies: list[str | Exception]
    context_length: int = 2000
    requests: list[GenerationRequest] = field(default_factory=list)
    started: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    cancelled: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    threads: set[int] = field(default_factory=set)

    def answer(self, request: GenerationRequest, cancelled: Callable[[], bool]) -> Iterator[GenerationEvent]:
        """See OneAtATime."""
        self.requests.append(request)
        self.threads.add(threading.get_ident())
        reply = self.replies[len(self.requests) - 1]
        yield PromptProcessed(len(request.prompt), 3, 3, 0.0)
        self.started.release()
        if not reply:
            yield self._waited(request, cancelled, 0)
            return
        yield PromptProcessed(len(request.prompt), 3, len(request.prompt), 10.0)
        tokens = self.encoder.tokenizer.encode_marked(str(reply).removesuffix("..."), "\0")
        for count, token in enumerate(tokens[: request.max_tokens], 1):
            logprobs = None if request.logprobs is None else TokenLogprobs(-float(count), ((token, -0.5),))
            yield TokenGenerated(token, self._costs(request, count), logprobs)
            if isinstance(reply, Exception):
                raise reply
            if cancelled():
                self.cancelled.release()
                yield self._finished(request, "cancelled", count)
                return
        if str(reply).endswith("..."):
            yield self._waited(request, cancelled, len(tokens))
        elif len(tokens) >= request.max_tokens:
            yield self._finished(request, "length", request.max_tokens)
        else:
            yield TokenGenerated(min(request.stop_tokens), self._costs(request, len(tokens) + 1))
            yield self._finished(request, "stop", len(tokens) + 1)

    def _waited(
        self, request: GenerationRequest, cancelled: Callable[[], bool], count: int
    ) -> GenerationFinished:
        poll = threading.Event()
        while not cancelled():
            poll.wait(0.005)
        self.cancelled.release()
        return self._finished(request, "cancelled", count)

    @staticmethod
    def _finished(request: GenerationRequest, reason: str, count: int) -> GenerationFinished:
        return GenerationFinished(3, len(request.prompt), 10.0, count, 20.0, _DRAFTS, reason=reason)  # type: ignore[arg-type]

    @staticmethod
    def _costs(request: GenerationRequest, count: int) -> GenerationCosts:
        return GenerationCosts(3, len(request.prompt), 10.0, count, 20.0, _DRAFTS)


@dataclass
class ScriptedEngine:
    """A running server: its address and what is behind it."""

    url: str
    generator: ScriptedGenerator
    scheduler: Scheduler


@contextmanager
def scripted_engine(
    model: Path,
    *replies: str | Exception,
    api_key: str | None = None,
    keep_alive_seconds: float = 10.0,
    sampling: SamplingParameters | None = None,
    grammar: ToolGrammar | None = None,
    origins: tuple[str, ...] = (),
    context_length: int = 2000,
) -> Iterator[ScriptedEngine]:
    """A server on a loopback port, with the tokenizer and template of a checkpoint directory."""
    encoder = PromptEncoder.from_directory(model)
    generator = ScriptedGenerator(encoder, list(replies), context_length)
    served = ServedModel(
        "scripted",
        generator,
        encoder,
        lambda: {"dtype": "none"},
        sampling=sampling or SamplingParameters(),
        grammar=grammar,
    )
    scheduler = Scheduler(lambda _: served)
    ready = threading.Event()
    scheduler.start(ready.set)
    assert ready.wait(LONGEST)
    guard = Guard(create_app(scheduler, keep_alive_seconds), Activity(), api_key, True, origins)
    app = answering_pages(guard, origins)
    server = QuietServer(uvicorn.Config(app, lifespan="off", log_level="critical", timeout_graceful_shutdown=1))
    with listen_on_port("127.0.0.1", 0, has_key=False) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        try:
            yield ScriptedEngine(url, generator, scheduler)
        finally:
            scheduler.stop()
            server.should_exit = True
            thread.join()
            scheduler.join(LONGEST)
