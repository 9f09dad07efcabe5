"""An agent on a temporary project, driven over real HTTP by a scripted server."""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from app.agent.agent import Agent
from app.agent.events import AgentEvent, TurnEnded
from app.agent.port import PermissionAnswer, PermissionRequest
from app.agent.session.session import Journal, new_journal
from app.model.wire.client import Address, ChatClient
from app.review.model import FileImage, FileSummary
from app.review.remarks.model import Said
from app.settings.settings import Mode
from app.workspace.workspace import Workspace
from tests.support.agent.scripted_server import ScriptedServer
from tests.support.patience import LONGEST

_naps = count(os.getpid() * 1000)


@dataclass
class Recorder:
    """A ChangeRecorder that remembers, and checks that the disk still has what was before."""

    root: Path
    records: list[tuple[str, FileImage | None, FileImage | None]] = field(default_factory=list)
    turns: list[str] = field(default_factory=list)
    rejected: str = ""

    def begin_turn(self, turn: int, session: str = "", words: str = "") -> None:  # noqa: ARG002
        self.turns.append(f"begin {turn}")

    def record(self, path: str, before: FileImage | None, after: FileImage | None) -> None:
        file = self.root / path
        assert (file.read_bytes() if file.exists() else None) == (before.data if before else None)
        self.records.append((path, before, after))

    def begin_call(self, call: str) -> None: ...

    def command_started(self, named: Sequence[str] = ()) -> None:
        self.named = tuple(named)
        self.turns.append("before command")

    def command_finished(self, still_runs: bool = False) -> tuple[str, ...]:
        self.turns.append("job" if still_runs else "command")
        return ("made.txt",) if (self.root / "made.txt").exists() else ()

    def end_turn(self, turn: int) -> None:
        self.turns.append(f"end {turn}")

    def retell(self, turn: int, session: str) -> None:  # noqa: ARG002
        self.turns.append(f"retell {turn}")

    def say(self, said: Said) -> str:
        raise NotImplementedError

    def turn_files(self) -> tuple[FileSummary, ...]:
        return ()

    def feedback(self) -> str:
        said, self.rejected = self.rejected, ""
        return said


@dataclass
class Asker:
    """A user whose answers are prepared; without one left, a question fails the test."""

    answers: list[PermissionAnswer] = field(default_factory=list)
    requests: list[PermissionRequest] = field(default_factory=list)

    async def ask(self, request: PermissionRequest) -> PermissionAnswer:
        self.requests.append(request)
        assert self.answers, f"an unexpected question: {request}"
        return self.answers.pop(0)


class Bench:
    """The agent and everything around it."""

    def __init__(self, root: Path, server: ScriptedServer, mode: Mode, context_length: int | None) -> None:
        self.root = root
        self.server = server
        self.recorder = Recorder(root)
        self.asker = Asker()
        self.mode = mode
        self.context_length = context_length
        self.is_waited_for, self.ready = asyncio.Event(), asyncio.Event()
        self.ready.set()
        self.agent = self.open(new_journal(root))

    def open(self, journal: Journal) -> Agent:
        self.agent = Agent(
            Workspace(self.root),
            ChatClient(Address(self.server.url)),
            self.recorder,
            self.asker,
            journal,
            mode=self.mode,
            context_length=lambda: self.context_length,
            settled=self._settled,
        )
        return self.agent

    async def _settled(self) -> None:
        """The engine is ready once `ready` is set."""
        self.is_waited_for.set()
        await self.ready.wait()

    async def close(self) -> None:
        """End the agent that is open now."""
        await self.agent.aclose()

    async def run(
        self, text: str | None = "Do it.", until: Callable[[AgentEvent], bool] | None = None
    ) -> list[AgentEvent]:
        """One turn; with `until`, left behind at the first event for which it holds."""
        events = []
        stream = self.agent.continue_turn() if text is None else self.agent.run_turn(text)
        async with aclosing(stream) as turn:
            async for event in turn:
                events.append(event)
                if until is not None and until(event):
                    break
        return events

    @property
    def sent(self) -> list[dict[str, Any]]:
        """The messages of the latest request, the system prompt left out."""
        messages: list[dict[str, Any]] = self.server.requests[-1]["messages"][1:]
        return messages

    def results(self) -> list[str]:
        """What the model was told of its calls, as the latest request has it."""
        return [message["content"] for message in self.sent if message["role"] == "tool"]


def end_of(events: list[AgentEvent]) -> TurnEnded:
    """How the turn ended; it must be the last event."""
    end = events[-1]
    assert isinstance(end, TurnEnded)
    return end


async def gone(process: int) -> None:
    """Wait until there is no such process, or (with a negative number) group, any more."""
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"process {process} is still there")


def nap() -> str:
    """A command that takes longer than any test, and that nothing else runs."""
    return f"sleep {next(_naps)}"


async def ended(words: str) -> None:
    """Wait until no process has `words` on its command line. A number of its own will not do: in a sandbox, a
    process has another than outside."""
    async with asyncio.timeout(LONGEST):
        while subprocess.run(["pgrep", "-f", words], capture_output=True, check=False).returncode == 0:  # noqa: ASYNC110, ASYNC221
            await asyncio.sleep(0.01)


def check_well_formed(messages: list[dict[str, Any]]) -> None:
    """Every call has exactly one result, right behind it, and every result a call; ids are never used twice."""
    open_ids: list[str] = []
    used: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            open_ids.remove(message["tool_call_id"])
            continue
        assert not open_ids, f"calls without a result before {message}"
        open_ids = [call["id"] for call in message.get("tool_calls", ())]
        assert not used & set(open_ids)
        used |= set(open_ids)
    assert not open_ids
