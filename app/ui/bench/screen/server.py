"""A Chat Completions server that says prepared words, as fast as it is told to: no model, the whole wire."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any

LONG = "tell me at length"
"""A message with this in it is answered at length, any other in a word."""
RATE = 200
"""Tokens a second of a long answer."""
_WORDS = (
    "The workspace reads the file, changes `two` lines and runs the tests.\n\n"
    "- A point about *one* of them\n- and another\n\n```python\nvalue = transform(1)\n```\n\n"
)
_TOKEN = 4  # characters


class StreamServer:
    """Listens on `url` while entered. `sent` counts the tokens of long answers, `answered` the short ones."""

    def __init__(self, seconds: float) -> None:
        self.url = ""
        self.sent = 0
        self.answered = 0
        self._tokens = int(seconds * RATE)
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._serve(),), daemon=True
        )

    def __enter__(self) -> "StreamServer":
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._listening.set()
        await self._stop.wait()
        server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                (
                    int(line.split(":")[1])
                    for line in head.split("\r\n")
                    if line.lower().startswith("content-length")
                ),
                0,
            )
            body = await reader.readexactly(length)
            if head.startswith("POST"):
                await self._speak(json.loads(body), writer)
            else:
                listed = {
                    "object": "list",
                    "data": [{"id": "bench", "object": "model", "max_model_len": 262144}],
                }
                writer.write(_HEAD % b"application/json" + json.dumps(listed).encode())
        writer.close()

    async def _speak(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if not request.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
            writer.write(_HEAD % b"application/json" + json.dumps({"choices": [choice]}).encode())
            return
        writer.write(_HEAD % b"text/event-stream" + _chunk({"role": "assistant", "content": ""}))
        if LONG in json.dumps(request["messages"][-1]):
            began = self._loop.time()
            for number, piece in zip(range(self._tokens), _pieces(), strict=False):
                await asyncio.sleep(max(0.0, began + number / RATE - self._loop.time()))
                writer.write(_chunk({"content": piece}))
                self.sent += 1
        else:
            writer.write(_chunk({"content": "Yes."}))
            self.answered += 1
        writer.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
        await writer.drain()


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n\r\n"


def _pieces() -> Iterator[str]:
    while True:
        for at in range(0, len(_WORDS), _TOKEN):
            yield _WORDS[at : at + _TOKEN]


def _chunk(delta: dict[str, str], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    data = {"id": "bench", "object": "chat.completion.chunk", "model": "bench", "choices": [choice]}
    return b"data: " + json.dumps(data).encode() + b"\n\n"
