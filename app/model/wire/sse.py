"""Server-sent events, as far as Chat Completions uses them (WHATWG HTML, "Server-sent events", parsing).

Only `data` matters here. Lines end in LF, CRLF or CR and nothing else: JSON may hold U+2028 and its kin
unescaped, which is why the HTTP client's own line splitting will not do.
"""

import re

from app.model.errors import GarbledReply

_LARGEST_EVENT = 16 * 2**20  # bytes
_LINE_END = re.compile(rb"\r\n|\n|\r")


class EventDecoder:
    """Turns the bytes of a response into the data of its events, in whatever pieces they arrive."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._searched = 0
        self._data: list[bytes] = []
        self._since_event = 0

    def feed(self, received: bytes) -> list[str]:
        """The data of the events completed by `received`. Raises GarbledReply for bytes without end that are no
        event, and for an event that is not UTF-8."""
        self._pending += received
        self._since_event += len(received)
        events: list[str] = []
        start = 0
        for end in _LINE_END.finditer(self._pending, self._searched):
            if end.group() == b"\r" and end.end() == len(self._pending):
                break  # its LF may be on the way
            self._line(bytes(self._pending[start : end.start()]), events)
            start = end.end()
        self._pending = self._pending[start:]
        # A long line comes in many pieces: none of it is looked through twice, but for a CR at its end.
        self._searched = max(0, len(self._pending) - 1)
        if events:
            self._since_event = len(self._pending)
        if self._since_event > _LARGEST_EVENT:
            raise GarbledReply("the server sent 16 MiB that are no event of a reply")
        return events

    def _line(self, line: bytes, events: list[str]) -> None:
        if not line:
            if self._data:
                try:
                    events.append(b"\n".join(self._data).decode())
                except UnicodeDecodeError:
                    raise GarbledReply("the server's reply is not UTF-8 text") from None
            self._data = []
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
