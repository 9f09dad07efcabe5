"""Chat servers that a bench starts, and that end with it."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from mlx_model.bench.processes.tied import end_tied, start_tied
from mlx_model.errors import EngineError

_START_SECONDS = 600.0
"""Loading a large model from a slow disk takes minutes."""


class BenchServerFailed(EngineError):
    """A server under measurement did not start or did not answer; quotes the last line of its log."""

    exit_status = 1


class ChatServer:
    """A Chat Completions server on a loopback port. `arguments` is its command line after the interpreter;
    --host and --port are added. Its output goes to `log`."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self._arguments = list(arguments)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._client: httpx2.Client | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start, and wait until it answers. Raises BenchServerFailed."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, *self._arguments, "--host", "127.0.0.1", "--port", str(port)]
        self._client = httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=_START_SECONDS, trust_env=False
        )
        try:
            with self._log.open("ab") as log:
                self._process = start_tied(command, out=log, log=log)
            self._wait_for(self._process)
        except BaseException:
            # Whatever it was, a signal too: nobody else would stop it before its folders are removed.
            self.stop()
            raise

    def _wait_for(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchServerFailed(f"{self._arguments[1]} did not start: {self._last_words()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it with SIGTERM, so that it can finish writing."""
        if self._client is not None:
            self._client.close()
        if self._process is not None:
            end_tied(self._process)

    def complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The whole reply to one request. Raises BenchServerFailed."""
        assert self._client is not None, "the server is started"
        try:
            response = self._client.post("/v1/chat/completions", json=dict(body))
            answer = response.raise_for_status().json()
        except (httpx2.HTTPError, ValueError) as error:
            raise BenchServerFailed(
                f"{self._arguments[1]} did not answer: {error}. {self._last_words()}"
            ) from error
        if not isinstance(answer, dict) or "usage" not in answer:
            raise BenchServerFailed(f"{self._arguments[1]} answered without usage.")
        return answer

    def leave(self, body: Mapping[str, Any], pieces: int) -> str:
        """Disconnect after `pieces` pieces of a reply; returns the text received. Raises BenchServerFailed."""
        text: list[str] = []
        with contextlib.closing(self.stream(body)) as chunks:
            for chunk in chunks:
                for choice in chunk.get("choices") or ():
                    text.append((choice.get("delta") or {}).get("content") or "")
                if sum(map(bool, text)) >= pieces:
                    break
        return "".join(text)

    def stream(self, body: Mapping[str, Any]) -> Generator[dict[str, Any]]:
        """The chunks of a reply as they arrive; closing the iterator disconnects. Raises BenchServerFailed."""
        assert self._client is not None, "the server is started"
        try:
            request = {**body, "stream": True}
            with self._client.stream("POST", "/v1/chat/completions", json=request) as response:
                response.raise_for_status()
                for line in response.iter_lines():
                    if line.startswith("data: {"):
                        yield json.loads(line.removeprefix("data: "))
        except (httpx2.HTTPError, ValueError) as error:
            raise BenchServerFailed(
                f"{self._arguments[1]} did not answer: {error}. {self._last_words()}"
            ) from error

    def _ready(self) -> bool:
        assert self._client is not None
        try:
            return self._client.get("/health").status_code == httpx2.codes.OK
        except httpx2.HTTPError:
            return False

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing."
