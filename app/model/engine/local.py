"""Our own engine, run as a process that all windows on a model share."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from typing_extensions import override

from app.model.catalogue.catalogue import LocalModel
from app.model.engine.client_engine import ClientEngine
from app.model.engine.process import (
    EngineCommand,
    EngineFiles,
    EngineProcess,
    engine_command,
    manner_of_death,
)
from app.model.engine.shortage import given_up
from app.model.errors import EngineFailed, EngineLost, GarbledReply, ModelError, ModelTimeout, Unreachable
from app.model.events import EngineStatus, ModelDescription, StreamEvent
from app.model.messages import ChatRequest
from app.model.wire.client import Address, ChatClient, Health, ReplyOptions

_BAD_INPUT = 2
"""The exit status by which the engine says that trying again is of no use."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the engine is looked at and how patiently restarted, in seconds. Looking at a ready engine also
    tells it that somebody is still there."""

    ready: float = 10.0
    loading: float = 0.2
    lock: float = 0.05
    backoff: float = 0.5
    quick_death: float = 60.0
    """An engine that lived longer than this died of something new; its death does not count."""
    attempts: int = 3
    other_start: float = 120.0
    """How long to wait for the first word of an engine that another window started."""
    unanswered: int = 6
    """Health checks in a row that an engine may leave unanswered while it loads."""
    unreachable: int = 6
    """Looks in a row at which a running engine may be out of reach: its socket is gone, or it is ending."""


@dataclass(frozen=True, slots=True)
class _Death:
    """How an engine's life ended, as a sentence. `final`: starting it again would end the same way."""

    sentence: str
    final: bool = False
    natural: bool = False
    last_words: tuple[str, ...] = ()


class LocalEngine(ClientEngine):
    """An EnginePort on a checkpoint directory."""

    def __init__(
        self,
        model: LocalModel,
        *,
        idle_seconds: float,
        options: ReplyOptions | None = None,
        command: EngineCommand = engine_command,
        pace: Pace | None = None,
    ) -> None:
        self._model = model
        self._idle_seconds = idle_seconds
        self._command = command
        self._pace = pace or Pace()
        self._place = EngineFiles.of(model.path)
        address = Address("http://localhost/v1", self._place.socket)
        super().__init__(
            ChatClient(address, is_ours=True, options=options),
            EngineStatus("starting", f"Starting the engine for {model.name}."),
        )
        self._look_now = asyncio.Event()
        self._is_attended = False
        self._asking: list[asyncio.Future[None]] = []

    @override
    async def start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_after(), name="engine-watch")

    @override
    async def restart(self) -> None:
        """An engine that is looked after already is left alone."""
        if self._task is None or self._task.done():
            self._board.set(EngineStatus("starting", f"Starting the engine for {self._model.name}."))
            await self.start()

    @override
    def attend(self) -> None:
        """The engine hears of it with the next look."""
        self._is_attended = True

    @override
    async def aclose(self) -> None:
        await self._leave("The engine was left.")
        self._answer_asking()

    @override
    async def stream(self, request: ChatRequest) -> AsyncGenerator[StreamEvent]:
        """A reply that never began is asked for again once the engine is back."""
        while True:
            await self._until_ready()
            try:
                async with aclosing(self._client.stream(request)) as events:
                    async for event in events:
                        yield event
                return
            except Unreachable:
                await self._look()
            except EngineLost:
                await self._look()
                if self.status.phase == "ready":
                    raise
                raise EngineLost(
                    "the engine stopped in mid-reply",
                    "it is being started again; send the message again when it is ready"
                    if self.status.phase != "failed"
                    else self.status.message,
                ) from None

    async def _until_ready(self) -> None:
        if self._task is None:
            await self.start()
        status = await self._board.until(lambda status: status.phase in ("ready", "failed", "stopped"))
        if status.phase != "ready":
            raise EngineFailed(status.message)

    async def _look(self) -> None:
        """Have the engine looked at now; returns when the status shows what was seen."""
        if self._task is None or self._task.done():
            return
        looked = asyncio.get_running_loop().create_future()
        self._asking.append(looked)
        self._look_now.set()
        await looked

    def _answer_asking(self) -> None:
        self._look_now.clear()
        for looked in self._asking:
            if not looked.done():
                looked.set_result(None)
        self._asking.clear()

    async def _look_after(self) -> None:
        """Keep an engine running until it cannot be."""
        try:
            await self._keep_alive()
        except ModelError as error:
            self._board.set(EngineStatus("failed", str(error)))
        finally:
            self._answer_asking()

    async def _keep_alive(self) -> None:
        quick_deaths = 0
        while True:
            began = time.monotonic()
            death = await self._one_life()
            if death.final:
                raise EngineFailed(death.sentence)
            if death.natural or time.monotonic() - began > self._pace.quick_death:
                quick_deaths = 0
            else:
                quick_deaths += 1
            if quick_deaths >= self._pace.attempts:
                said = " / ".join(death.last_words)
                raise EngineFailed(
                    f"{death.sentence}, {quick_deaths} times in a row"
                    + (f"; its last words: {said}" if said else ""),
                    f"see {self._place.log}",
                )
            sentence = death.sentence[0].upper() + death.sentence[1:]
            self._board.set(EngineStatus("restarting", f"{sentence}; it is being started again."))
            self._answer_asking()
            if quick_deaths:
                await asyncio.sleep(self._pace.backoff * 2 ** (quick_deaths - 1))

    async def _one_life(self) -> _Death:
        """Find or start an engine and watch it until it is gone."""
        process = await self._find_or_start()
        description: ModelDescription | None = None
        unanswered = unreachable = 0
        while True:
            if process is not None and process.ended.done():
                return _death_of(process)
            try:
                attended, self._is_attended = self._is_attended, False
                health = await self._client.health(attended=attended)
                unanswered = unreachable = 0
                if health.ready and description is None:
                    description = await self._describe()
                self._show(health, description)
            except (Unreachable, EngineLost):
                if process is None:
                    return _Death("the engine is gone")
                unreachable += 1
                if unreachable >= self._pace.unreachable:
                    raise EngineFailed(
                        f"the engine runs, but nothing answers at {self._place.socket}",
                        f"end its process ({process.pid}) and try again",
                    ) from None
                await asyncio.wait({process.ended}, timeout=self._pace.ready)  # it is most likely ending
                continue
            except ModelTimeout:
                unanswered += 1
                if description is None and unanswered >= self._pace.unanswered:
                    raise EngineFailed(
                        "the engine does not answer", f"see {self._place.log}, and end its process"
                    ) from None
            self._answer_asking()
            await self._pause(process, self._pace.loading if description is None else self._pace.ready)

    async def _find_or_start(self) -> EngineProcess | None:
        """The engine we started, or None when one was running already or another window was starting it.

        The lock is handed down to the engine, so it is held for as long as an engine lives: there is never a
        second copy of the weights, not even while the first is still starting or already ending.
        """
        self._place.prepare()
        waiting_since = time.monotonic()
        while not await self._answers():
            try:
                lock = self._place.take()
            except BlockingIOError:
                if time.monotonic() - waiting_since > self._pace.other_start:
                    raise EngineFailed(
                        "the engine that another window started does not answer",
                        f"see {self._place.log}, and end its process",
                    ) from None
                await asyncio.sleep(self._pace.lock)
                continue
            try:
                command = self._command(self._model.path, self._place.socket, self._idle_seconds)
                process = EngineProcess(command, self._place.log, lock)
            finally:
                lock.let_go()
            while not process.ended.done() and not await self._answers():
                await self._pause(process, self._pace.lock)
            return process
        return None

    async def _answers(self) -> bool:
        try:
            await self._client.health()
        except (Unreachable, EngineLost):
            return False
        except ModelTimeout:
            return True  # somebody is there, if busy
        except GarbledReply:
            raise EngineFailed(
                f"something that is no engine listens at {self._place.socket}", "end it and try again"
            ) from None
        return True

    async def _pause(self, process: EngineProcess | None, seconds: float) -> None:
        """Wait until there is reason to look again: the time, the process's end, or somebody asking."""
        asked = asyncio.ensure_future(self._look_now.wait())
        try:
            await asyncio.wait(
                {asked} | ({process.ended} if process else set()),
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            asked.cancel()

    async def _describe(self) -> ModelDescription:
        described = await self._client.models()
        description = described[0] if described else ModelDescription(self._model.name)
        self._client.model = description.id
        return description

    def _show(self, health: Health, description: ModelDescription | None) -> None:
        if description is not None:
            short = health.is_short
            self._board.set(EngineStatus("ready", model=description, is_short=short, given_up=given_up(health)))
        else:
            self._board.set(EngineStatus("loading", f"Loading {self._model.name}.", health.progress))


def _death_of(process: EngineProcess) -> _Death:
    status = process.ended.result()
    if status == _BAD_INPUT:
        sentence = (*process.last_words(1), "the engine refused the model without a reason")[0]
        return _Death(sentence.removeprefix("mlx_model serve: "), final=True)
    return _Death(
        f"the engine {manner_of_death(status)}", natural=status == 0, last_words=process.last_words(3)
    )
