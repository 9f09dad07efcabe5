"""The server process: it listens, loads the model, serves, and ends on a signal or after idle time."""

import asyncio
import logging
import signal
import socket
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from mlx_model.server.guard import Activity, Guard
from mlx_model.server.http import WARNING, create_app
from mlx_model.server.listening import listen_on_file, listen_on_port
from mlx_model.server.scheduler import Loader, Scheduler

_log = logging.getLogger(__name__)

_FAILURE_SHOWN_SECONDS = 0.5
"""How long /health reports that loading failed before the process ends: a few periods of its pollers."""
_GOODBYE_SECONDS = 5
"""How long running responses may take to end."""
_WRITING_SECONDS = 30
"""How long snapshots may take to reach a slow disk; the newest are written first."""
_KEPT_CONNECTION_SECONDS = 60
"""How long an idle connection stays open."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where to listen (on `socket` if given, else on `host` and `port`), the key that clients need, the origins
    of web pages that are answered, and the seconds without a request after which the server ends (`idle_exit`;
    None: never)."""

    socket: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    api_key: str | None = None
    origins: tuple[str, ...] = ()
    idle_exit: float | None = None


def run_server(options: ServerOptions, load: Loader) -> int:
    """Serves until a signal or idle time ends it; returns 0 then.

    It listens before the model is loaded. Raises CannotListen, or the error that loading raised, which /health
    has reported before.
    """
    with _listener(options) as listener:
        return asyncio.run(_Process(options, load, listener).run())


def _listener(options: ServerOptions) -> AbstractContextManager[socket.socket]:
    if options.socket is not None:
        return listen_on_file(options.socket)
    return listen_on_port(options.host, options.port, has_key=options.api_key is not None)


def answering_pages(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """The application, which lets pages of these origins read its answers."""
    if not origins:
        return app
    return CORSMiddleware(
        app, list(origins), allow_methods=["GET", "POST"], allow_headers=["*"], expose_headers=[WARNING]
    )


class QuietServer(uvicorn.Server):
    """uvicorn without signal handlers: the process has more to stop than the server."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals alone."""
        yield


class _Process:
    def __init__(self, options: ServerOptions, load: Loader, listener: socket.socket) -> None:
        self._options = options
        self._listener = listener
        self._activity = Activity()
        self._stopped = False
        self._scheduler = Scheduler(load)
        on_port = options.socket is None
        guard = Guard(
            create_app(self._scheduler),
            self._activity,
            options.api_key,
            check_host=on_port and options.api_key is None,
            origins=options.origins,
        )
        self._server = QuietServer(
            uvicorn.Config(
                answering_pages(guard, options.origins),
                lifespan="off",
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                server_header=False,
                timeout_keep_alive=_KEPT_CONNECTION_SECONDS,
                timeout_graceful_shutdown=_GOODBYE_SECONDS,
            )
        )

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loaded = asyncio.Event()

        def ended() -> None:
            loop.call_soon_threadsafe(loaded.set)

        self._scheduler.start(ended)
        watch = asyncio.create_task(self._watch(loaded))
        if self._options.socket is not None:
            where = str(self._options.socket)
        else:
            host, port = self._listener.getsockname()[:2]
            where = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        _log.info("Listening on %s", where)
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            watch.cancel()
            self._scheduler.stop()
            await asyncio.to_thread(self._scheduler.join, _WRITING_SECONDS)
        error = self._scheduler.state.error
        if error is not None and not self._stopped:
            raise error
        return 0

    def _stop(self) -> None:
        self._stopped = True
        self._scheduler.stop()
        self._server.should_exit = True

    async def _watch(self, loaded: asyncio.Event) -> None:
        """Ends the server when loading fails, or after the idle time."""
        await loaded.wait()
        if self._scheduler.state.phase == "failed":
            # A client that polls the progress should learn why the server ends.
            await asyncio.sleep(_FAILURE_SHOWN_SECONDS)
            self._server.should_exit = True
            return
        _log.info("Ready")
        if self._options.idle_exit is not None:
            await self._activity.until_idle_for(self._options.idle_exit)
            _log.info("Nobody has asked for anything for %g seconds", self._options.idle_exit)
            self._stop()
