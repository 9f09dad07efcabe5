"""Servers that somebody else runs, well behaved and not."""

import asyncio
import re
import socket
import threading

import pytest

from app.model.catalogue.catalogue import NothingFound, ServedModel
from app.model.engine.open import open_engine
from app.model.engine.remote import RemoteEngine
from app.model.errors import EngineFailed, NoModel
from app.model.events import EngineStatus, TextDelta
from app.model.messages import ChatRequest, Message
from app.model.wire.client import Patience
from app.settings.settings import Settings
from tests.support.agent.scripted_server import reply
from tests.support.patience import LONGEST

ASK = ChatRequest((Message("user", "hi"),))


async def read(engine) -> str:
    return "".join([event.text async for event in engine.stream(ASK) if isinstance(event, TextDelta)])


async def settled(engine) -> EngineStatus:
    async with asyncio.timeout(LONGEST):
        return await engine._board.until(lambda status: status.phase in ("ready", "failed"))


async def test_the_first_model_offered_or_the_one_named(scripted_server):
    server = scripted_server(reply("a"), reply("b"), api_key="secret")
    engine = open_engine(ServedModel(server.url), Settings(api_key="secret"))
    assert await read(engine) == "a"
    assert engine.status.model.id == "scripted" and engine.status.model.context_length == 32768
    await engine.aclose()
    engine = open_engine(ServedModel(server.url, "alias"), Settings(api_key="secret"))
    assert await read(engine) == "b"
    await engine.aclose()
    assert [request["model"] for request in server.requests] == ["scripted", "alias"]


async def test_a_server_that_was_away_is_tried_again_by_the_next_message(scripted_server):
    server = scripted_server(reply("there"))
    port = server.port
    server.stop()
    engine = RemoteEngine(ServedModel(f"http://127.0.0.1:{port}/v1"))
    with pytest.raises(EngineFailed, match="no server answers"):
        await read(engine)
    server.port = port
    server._stopping.clear()
    server.start()
    assert await read(engine) == "there"
    await engine.aclose()


def silent_or_mad(answer: bytes | None) -> tuple[str, socket.socket]:
    """A listener that says `answer` to whoever connects, or takes connections and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        held = []
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            held.append(connection)
            if answer is not None:
                request = b""
                while not request.endswith(b"\r\n\r\n"):  # closing on unread bytes would be a reset
                    request += connection.recv(65536)
                connection.sendall(answer)
                connection.close()

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/v1", listener


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "said nothing"),
        (b"", "broke off"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "broke off|does not speak HTTP"),
        (b"SSH-2.0-OpenSSH_9.6\r\n" * 9999, "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "does not speak Chat Completions"),
        (b'HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{"data": []}', "offers no model"),
        (b'HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\n{"data": [{"id": null}]}', "does not speak Chat"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "/v1"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{", "broke off|does not speak HTTP"),
    ],
)
async def test_a_server_that_hangs_or_talks_nonsense_is_one_sentence(answer: bytes | None, says: str):
    url, listener = silent_or_mad(answer)
    engine = RemoteEngine(
        ServedModel(url.replace("//", "//me:secret@")),
        patience=Patience(question=0.5 if answer is None else 30),
    )
    await engine.start()
    status = await settled(engine)
    await engine.aclose()
    listener.close()
    assert status.phase == "failed" and "secret" not in status.message

    assert re.search(says, status.message) and "\n" not in status.message


async def test_without_a_model_the_status_says_what_was_looked_for():
    engine = open_engine(NothingFound(("no model here", "none there")), Settings())
    assert engine.status.phase == "absent" and "none there" in engine.status.message
    with pytest.raises(NoModel):
        await read(engine)
