"""One turn of the agent without a screen.

text: the model's words go to standard output as they come, what it does goes to standard error, a line each.
json: one object at the end. stream-json: one object a line for each event, the last one the same as with json.
"""

import asyncio
import json
import re
import sys
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

from typing_extensions import override

from app.agent.agent import Agent, open_agent
from app.agent.events import (
    AgentEvent,
    FilesChanged,
    Noticed,
    ReplyBroken,
    ReplyFinished,
    SubtaskReplied,
    SubtaskStep,
    TextStreamed,
    ToolFinished,
    ToolStarted,
    TurnEnded,
)
from app.agent.port import PermissionAnswer, PermissionAsker, PermissionRequest
from app.model.catalogue.catalogue import ModelChoice
from app.model.engine.open import open_engine
from app.model.engine.ready import until_settled
from app.model.errors import EngineFailed
from app.model.events import EngineStatus, TextWasThought
from app.model.port import EnginePort
from app.review.review import Review
from app.settings.settings import Mode, Settings
from app.signals import cancel_on_signals
from app.workspace.workspace import Workspace

OutputFormat = Literal["text", "json", "stream-json"]

_COMMANDING = {code: 0xFFFD for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}
"""Characters that a terminal would obey, made visible."""

_DENIED = (
    "Nobody is here to be asked: this run has no screen. Do without it, or say what would have to be allowed."
)


class Reporter(Protocol):
    """How a run tells what happens."""

    def event(self, event: AgentEvent) -> None:
        """Something happened."""
        ...

    def end(self, summary: dict[str, Any]) -> None:
        """The run is over."""
        ...


class NobodyToAsk(PermissionAsker):
    """A PermissionAsker that denies, and says so on standard error."""

    @override
    async def ask(self, request: PermissionRequest) -> PermissionAnswer:
        said = f"denied, as nobody can be asked: {request.summary} ({request.reason})"
        print(said.translate(_COMMANDING), file=sys.stderr)
        return PermissionAnswer("deny", _DENIED)


class TextReporter(Reporter):
    """For a person, or for what reads only the words."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out, self._err = out, err
        self._to_terminal = out.isatty()
        self._midline = False
        self._held: list[str] = []

    @override
    def event(self, event: AgentEvent) -> None:
        match event:
            case TextStreamed(text) if self._to_terminal:
                self._write(text.translate(_COMMANDING))
            case TextStreamed(text):
                # A program takes what it gets: only when the reply is complete is none of it a thought.
                self._held.append(text)
            case TextWasThought():
                self._held.clear()
            case ReplyBroken(text):
                self._held.clear()
                self._note(text)
            case ReplyFinished():
                self._end_line()
            case ToolStarted(summary=summary):
                self._note(f"· {summary}")
            case SubtaskStep(summary=summary):
                self._note(f"  · {summary}")
            case ToolFinished(ok=False, name=name, result=result):
                # A tool says in its first line what is wrong, a command in its last how it ended.
                lines = result.strip().splitlines() or ["failed"]
                self._note(f"! {name}: {lines[-1 if name == 'run_shell_command' else 0]}")
            case Noticed(text):
                self._note(text)

    @override
    def end(self, summary: dict[str, Any]) -> None:
        self._end_line()
        if summary["reason"] != "done":
            self._note(f"tidegate: {summary['message'] or summary['reason']}")

    def _note(self, text: str) -> None:
        self._end_line()
        print(text.translate(_COMMANDING), file=self._err, flush=True)

    def _write(self, text: str) -> None:
        if text:
            self._out.write(text)
            self._out.flush()
            self._midline = not text.endswith("\n")

    def _end_line(self) -> None:
        self._write("".join(self._held))
        self._held.clear()
        if self._midline:
            self._out.write("\n")
            self._out.flush()
            self._midline = False


class JsonReporter(Reporter):
    """For programs."""

    def __init__(self, out: TextIO, stream: bool) -> None:
        self._out, self._stream = out, stream

    @override
    def event(self, event: AgentEvent) -> None:
        if self._stream:
            kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
            self._say({"type": kind, **asdict(event)})

    @override
    def end(self, summary: dict[str, Any]) -> None:
        self._say({"type": "result", **summary})

    def _say(self, value: dict[str, Any]) -> None:
        print(json.dumps(value), file=self._out, flush=True)


def run_headless(
    prompt: str,
    *,
    directory: Path,
    choice: ModelChoice,
    settings: Settings,
    mode: Mode | None,
    output_format: OutputFormat,
    session: str | None = None,
) -> int:
    """Run one turn in `directory`, in a new session, or in an old one by its id. Without a
    `mode` it is the session's or the settings'. Returns 0 when the agent ended by itself, 1 otherwise, 130 on
    Ctrl-C and 143 when it was told to terminate.

    Raises TidegateError when the turn cannot begin: no usable model or directory.
    """
    reporter: Reporter = (
        TextReporter(sys.stdout, sys.stderr)
        if output_format == "text"
        else JsonReporter(sys.stdout, stream=output_format == "stream-json")
    )
    turn = turn_in(
        directory, prompt, choice=choice, settings=settings, mode=mode, session=session, reporter=reporter
    )
    return asyncio.run(turn)


async def turn_in(
    directory: Path,
    prompt: str,
    *,
    choice: ModelChoice,
    settings: Settings,
    mode: Mode | None,
    reporter: Reporter,
    session: str | None = None,
) -> int:
    """The same as a part of something larger, told to `reporter`."""
    workspace = Workspace(directory)
    engine = open_engine(choice, settings)

    def open_it(review: Review) -> Agent:
        agent = open_agent(
            workspace,
            engine,
            review,
            NobodyToAsk(),
            mode=settings.mode,
            effort=settings.reasoning_effort,
            session=session,
            rules=settings.rules,
            servers=settings.mcp,
            is_offline=settings.offline,
            stays_awake=settings.stay_awake,
            local_servers=settings.local_servers,
        )
        if mode is not None:
            agent.mode = mode
        return agent

    return await _run(prompt, workspace, engine, open_it, reporter)


async def _run(
    prompt: str,
    workspace: Workspace,
    engine: EnginePort,
    open_it: Callable[[Review], Agent],
    reporter: Reporter,
) -> int:
    stopped_by = cancel_on_signals()
    try:
        await _until_ready(engine)
        review = await asyncio.to_thread(Review, workspace.root)
        agent = await asyncio.to_thread(open_it, review)
        try:
            return await _turn(prompt, agent, reporter)
        finally:
            await agent.aclose()
    except asyncio.CancelledError:
        if not stopped_by:
            raise
        return 128 + stopped_by[0]
    finally:
        await engine.aclose()


async def _until_ready(engine: EnginePort) -> None:
    """Start the engine and wait for it, so that bad input is told before the turn begins."""
    shown = ""

    def look(status: EngineStatus) -> None:
        nonlocal shown
        if status.message != shown and sys.stderr.isatty():
            shown = status.message
            print(shown, file=sys.stderr, flush=True)

    status = await until_settled(engine, look)
    if status.phase != "ready":
        raise EngineFailed(status.message)


async def _turn(prompt: str, agent: Agent, reporter: Reporter) -> int:
    words: list[str] = []
    """Those of the last reply: the answer."""
    paths: set[str] = set()
    notices = list(agent.losses)
    replies: list[ReplyFinished | SubtaskReplied] = []
    ended = TurnEnded(0, "cancelled")
    for loss in notices:
        reporter.event(Noticed(loss))
    try:
        async with aclosing(agent.run_turn(prompt)) as events:
            async for event in events:
                reporter.event(event)
                match event:
                    case TextStreamed(text):
                        words.append(text)
                    case ToolStarted() | TextWasThought():
                        words.clear()
                    case Noticed(text):
                        notices.append(text)
                    case ReplyBroken(text):
                        words.clear()
                        notices.append(text)
                    case FilesChanged(changed):
                        paths.update(changed)
                    case ReplyFinished() | SubtaskReplied():
                        replies.append(event)
                    case TurnEnded():
                        ended = event
    finally:
        reporter.end(
            {
                "reason": ended.reason,
                "message": ended.message,
                "result": "".join(words).strip(),
                "files_changed": sorted(paths),
                "notices": notices,
                "replies": len(replies),
                "prompt_tokens": sum(reply.finished.prompt_tokens or 0 for reply in replies),
                "cached_tokens": sum(reply.finished.cached_tokens or 0 for reply in replies),
                "completion_tokens": sum(reply.finished.completion_tokens or 0 for reply in replies),
                "reasoning_tokens": sum(reply.finished.reasoning_tokens or 0 for reply in replies),
                "session": agent.session_id,
            }
        )
    return 0 if ended.reason == "done" else 1
