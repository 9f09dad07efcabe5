"""JSON-RPC with a program on its standard input and output, as the Language Server Protocol frames it.

Our own, after a look at pygls 2.1.1: importing it takes 0.6 s of a core (its types, lsprotocol), and it has no
bound on what a server may send. https://microsoft.github.io/language-server-protocol
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from app.errors import TidegateError

_MOST_BYTES = 32_000_000  # of a message; a longer one is read and dropped
_MOST_NOISE = 1_000  # lines between two messages that are no header
_MOST_UNSENT = 16_000_000  # bytes that a server has not read
_LARGE = 200_000  # bytes, from which on a message is parsed in a thread
_METHOD_NOT_FOUND = -32601


class ServerFailed(TidegateError):
    """A language server is gone, too slow, or said no."""


class Connection:
    """`notified` is called with the method and parameters of what a server tells; `asked` answers what it asks,
    and raises KeyError for what nobody can answer."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        notified: Callable[[str, Any], None],
        asked: Callable[[str, Any], Any],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._notified = notified
        self._asked = asked
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._count = 0

    async def request(self, method: str, parameters: Any, seconds: float) -> Any:
        """The result of a call. Raises ServerFailed when there is none within `seconds`."""
        self._count += 1
        number = self._count
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({"id": number, "method": method, "params": parameters})
            return await asyncio.wait_for(waiting, seconds)
        except TimeoutError:
            self.notify("$/cancelRequest", {"id": number})
            raise ServerFailed(f"the language server did not answer {method} within {seconds:.0f} s") from None
        finally:
            del self._waiting[number]

    def notify(self, method: str, parameters: Any) -> None:
        """Tell something. Raises ServerFailed when the server does not read any more."""
        self._send({"method": method, "params": parameters})

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        transport = self._writer.transport
        if transport.is_closing() or transport.get_write_buffer_size() > _MOST_UNSENT:
            raise ServerFailed("the language server does not listen any more")
        self._writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))

    async def run(self) -> None:
        """Read until the server ends or babbles."""
        try:
            while (length := await self._header()) is not None:
                if length > _MOST_BYTES:
                    await self._skip(length)
                    continue
                data = await self._reader.readexactly(length)
                with contextlib.suppress(ValueError):  # no JSON: the next message may be some
                    parsed = json.loads(data) if length < _LARGE else await asyncio.to_thread(json.loads, data)
                    self._take(parsed)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ServerFailed("the language server has ended"))

    async def _header(self) -> int | None:
        """The length of the next message; None at the end."""
        length: int | None = None
        for _ in range(_MOST_NOISE):
            try:
                line = await self._reader.readline()
            except ValueError:
                continue  # a line longer than any header
            if not line:
                return None
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length" and value.strip().isdigit():
                length = int(value)
            elif not line.strip() and length is not None:
                return length
        return None

    async def _skip(self, length: int) -> None:
        while length > 0:
            read = await self._reader.read(min(length, 65_536))
            if not read:
                return
            length -= len(read)

    def _take(self, message: Any) -> None:
        if not isinstance(message, dict):
            return
        method, number = message.get("method"), message.get("id")
        if isinstance(method, str) and number is None:
            self._notified(method, message.get("params"))
        elif isinstance(method, str):
            self._answer(method, message.get("params"), number)
        elif isinstance(number, int) and (waiting := self._waiting.get(number)) and not waiting.done():
            error = message.get("error")
            if error is not None:
                words = error.get("message") if isinstance(error, dict) else error
                waiting.set_exception(ServerFailed(f"the language server says: {words}"))
            else:
                waiting.set_result(message.get("result"))

    def _answer(self, method: str, parameters: Any, number: Any) -> None:
        with contextlib.suppress(ServerFailed):
            try:
                self._send({"id": number, "result": self._asked(method, parameters)})
            except KeyError:
                self._send({"id": number, "error": {"code": _METHOD_NOT_FOUND, "message": method}})
