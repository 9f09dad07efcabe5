"""`tidegate warm`: have the engine read a project's beginning once, so that its sessions need not."""

import asyncio
import sys
import time
from contextlib import aclosing
from pathlib import Path

from app.agent.budget import FIXED_TOKENS, estimate
from app.agent.mcp.offer import Offer
from app.agent.mcp.servers import Servers
from app.agent.prompt.opening import (
    CannotWarm,
    WarmRecord,
    compose,
    forget_record,
    listed,
    read_record,
    write_record,
)
from app.agent.prompt.prompt import SYSTEM_PROMPT
from app.agent.tools.toolbox import specifications
from app.commands.options import Parser, add_model, directory_of
from app.model.catalogue.catalogue import ModelChoice, choose_model
from app.model.engine.open import open_engine
from app.model.engine.ready import until_settled
from app.model.errors import NoModel
from app.model.events import EngineStatus, Finished, PromptProgress
from app.model.messages import ChatRequest, Message
from app.model.port import EnginePort
from app.paths import expanded
from app.settings.settings import Settings, load_settings
from app.workspace.workspace import Workspace

_SHARE = 0.5
"""Of the model's context: the rest is for the work."""


def parser() -> Parser:
    """The options that it takes."""
    made = Parser(
        prog="tidegate warm",
        allow_abbrev=False,
        description="Have the model read a part of the project once, so that sessions in it begin from there: "
        "AGENTS.md, a map of all files, and what is named. Without PATH, what was named the last time.",
    )
    made.add_argument("paths", nargs="*", metavar="PATH", help="files, or directories with all text in them")
    made.add_argument("-C", dest="directory", default=".", metavar="DIR", help="the project (default: here)")
    made.add_argument(
        "--forget", action="store_true", help="let sessions in the project begin with nothing again"
    )
    add_model(made)
    return made


def run(given: list[str]) -> int:
    """Read, or forget; see run_warm and run_forget."""
    options = parser().parse_args(given)
    directory = directory_of(options.directory)
    if options.forget:
        return run_forget(directory)
    settings = load_settings()
    choice = choose_model(options.model if options.model is not None else settings.model)
    return run_warm(options.paths, directory=directory, choice=choice, settings=settings)


def run_warm(paths: list[str], *, directory: Path, choice: ModelChoice, settings: Settings) -> int:
    """Have `paths` (files and directories, as the user names them) in the project at `directory` read; without
    any, those that were named the last time. Returns 0.

    Raises TidegateError when a path, the model or its server will not do.
    """
    workspace = Workspace(directory)
    before = read_record(workspace.root)
    chosen = [_chosen(workspace, path) for path in paths] or list(before.chosen if before else ())
    return asyncio.run(_run(workspace, open_engine(choice, settings), chosen, before, settings))


def run_forget(directory: Path) -> int:
    """Have sessions in the project at `directory` begin with nothing again. Returns 0."""
    workspace = Workspace(directory)
    was_warm = forget_record(workspace.root)
    print(
        f"Sessions in {workspace.root} begin with nothing read."
        if was_warm
        else f"Nothing was warmed for {workspace.root}."
    )
    return 0


def _chosen(workspace: Workspace, named: str) -> str:
    location = workspace.locate(str(Path.cwd() / expanded(named)))
    if not location.absolute.exists():
        raise CannotWarm(f"{named} does not exist", "name files or directories of the project")
    if not location.is_inside:
        raise CannotWarm(f"{named} is outside {workspace.root}", "name files or directories of the project")
    return location.path


async def _run(
    workspace: Workspace,
    engine: EnginePort,
    chosen: list[str],
    before: WarmRecord | None,
    settings: Settings,
) -> int:
    try:
        status = await until_settled(engine, _tell)
        if status.phase != "ready" or status.model is None:
            raise NoModel(status.message.rstrip(".") or "there is no model", "see: tidegate doctor")
        model = status.model
        if not model.keeps_prefixes:
            raise CannotWarm(
                f"the server of {model.id} does not keep on disk what it has read",
                "warming works with Tidegate's own engine: name a Qwen3-Next checkpoint with --model",
            )
        record, messages = await asyncio.to_thread(compose, workspace, chosen, model.id, before)
        estimated = FIXED_TOKENS + estimate(messages)
        if model.context_length is not None and estimated > model.context_length * _SHARE:
            raise CannotWarm(
                f"this is about {estimated:,} tokens, more than half of the model's context of "
                f"{model.context_length:,}",
                "name fewer files",
            )
        tools = (*specifications(), *(offer.specification for offer in await _offers(workspace, settings)))
        request = ChatRequest((Message("system", SYSTEM_PROMPT), *messages), tools, max_tokens=0)
        began = time.monotonic()
        finished = await _read(engine, request)
        await asyncio.to_thread(write_record, workspace.root, record)
    finally:
        await engine.aclose()
    tokens = finished.prompt_tokens or 0
    new = tokens - (finished.cached_tokens or 0)
    print(
        f"{model.id} has read {listed(record.parts)}: {tokens:,} tokens, {new:,} of them new, in "
        f"{time.monotonic() - began:.1f} s. Sessions in {workspace.root} begin from there."
    )
    return 0


async def _offers(workspace: Workspace, settings: Settings) -> tuple[Offer, ...]:
    """The tools of the MCP servers that sessions begin with: they precede the warmed messages in the prompt."""
    servers = Servers(settings.mcp, workspace.root, is_offline=settings.offline)
    try:
        offers = await servers.offers()
        for state in servers.states:
            if state.phase == "failed":
                print(f"The MCP server {state.name} cannot be used: {state.message}.", file=sys.stderr)
        return offers
    finally:
        await servers.aclose()


async def _read(engine: EnginePort, request: ChatRequest) -> Finished:
    """Have the engine read the request, showing how far it is."""
    finished: Finished | None = None
    shows = sys.stderr.isatty()
    async with aclosing(engine.stream(request)) as events:
        async for event in events:
            match event:
                case PromptProgress():
                    if shows:
                        progress = f"Read {event.processed:,} of {event.total:,} tokens"
                        print(f"\r{progress}", end="", file=sys.stderr, flush=True)
                case Finished():
                    finished = event
    if shows:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    assert finished is not None, "a stream ends with it"
    return finished


def _tell(status: EngineStatus) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{status.message}", end="", file=sys.stderr, flush=True)
