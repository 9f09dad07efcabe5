"""`tidegate acp`: the connection to the editor, and the engine behind it, until the editor leaves."""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Iterable
from typing import SupportsIndex, cast

from acp.core import DEFAULT_STDIO_BUFFER_LIMIT_BYTES, AgentSideConnection
from acp.interfaces import Agent

from app.acp.agent import EditorAgent
from app.model.catalogue.catalogue import ModelChoice
from app.model.engine.open import open_engine
from app.model.engine.remote import misnamed_engine
from app.model.errors import NoModel
from app.settings.settings import Settings
from app.signals import cancel_on_signals

_CLOSE_SECONDS = 5.0
"""Seconds for the last messages to reach the editor before its pipe is closed."""


def run_acp(choice: ModelChoice | NoModel, settings: Settings) -> int:
    """Serve the editor at standard input and output; without a model, the editor is told so when it begins a
    session. Returns 0 when it leaves, 130 on Ctrl-C and 143 when told
    to terminate."""
    # Nothing but the protocol may reach the editor: whatever else prints, prints to standard error.
    out = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("tidegate acp: %(message)s"))
    handler.addFilter(_in_one_line)
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    return asyncio.run(_serve(choice, settings, out))


def _in_one_line(record: logging.LogRecord) -> bool:
    """What the SDK logs of a bad message is of no use as a traceback."""
    if record.exc_info:
        record.msg, record.args = f"{record.getMessage()}: {record.exc_info[1]}", ()
        record.exc_info = None
    return True


async def _serve(choice: ModelChoice | NoModel, settings: Settings, out: int) -> int:
    stopped_by = cancel_on_signals()
    engine = misnamed_engine(choice) if isinstance(choice, NoModel) else open_engine(choice, settings)
    agent = EditorAgent(engine, settings)
    try:
        reader, writer = await _streams(out)
        # The SDK's protocol lists all methods; it answers those that are not here with an error.
        connection = AgentSideConnection(cast(Agent, agent), writer, reader, listening=False)
        try:
            await connection.listen()
        finally:
            # Turns end in the usual way; updates that the editor has not received yet are dropped.
            await agent.aclose()
            with contextlib.suppress(TimeoutError, ConnectionError):
                await asyncio.wait_for(connection.close(), _CLOSE_SECONDS)
        # The SDK takes a cancellation for an end like any other.
        return 128 + stopped_by[0] if stopped_by else 0
    except asyncio.CancelledError:
        if not stopped_by:
            raise
        return 128 + stopped_by[0]
    finally:
        await engine.aclose()


class _Objects(asyncio.StreamReader):
    """Passes on the lines that begin as a JSON object does. At any other, the SDK would stop listening."""

    _passes: bool | None = None
    """Whether the line that has begun does; None before its first character."""

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        """More of the input, cut anywhere."""
        kept = bytearray()
        for line in bytes(data).splitlines(keepends=True):
            if self._passes is None and line.strip():
                self._passes = line.lstrip().startswith(b"{")
                if not self._passes:
                    logging.warning("A line that is no JSON object is passed over")
            if self._passes:
                kept += line
            if line.endswith(b"\n"):
                self._passes = None
        super().feed_data(bytes(kept))


async def _streams(out: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = _Objects(limit=DEFAULT_STDIO_BUFFER_LIMIT_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop), os.fdopen(out, "wb", buffering=0)
    )
    return reader, asyncio.StreamWriter(transport, protocol, None, loop)
