"""`tidegate doctor`: facts about this machine, and what Tidegate lacks on it."""

import asyncio
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from app.agent.mcp.servers import Servers, ServerState
from app.agent.shell.sandbox import find_sandbox
from app.commands.options import Parser, add_model
from app.errors import TidegateError
from app.model.catalogue.catalogue import LocalModel, NothingFound, ServedModel, choose_model, weight_bytes
from app.model.catalogue.recipes import gigabytes, judge, machine_memory
from app.model.engine.open import open_engine
from app.model.engine.process import EngineFiles
from app.model.engine.ready import until_settled
from app.model.events import EngineStatus
from app.settings.settings import Settings, load_settings, settings_file
from app.workspace.search import ripgrep

Mark = Literal["ok", "note", "missing"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact. "missing" is what Tidegate cannot do without, "note" what it works around."""

    mark: Mark
    subject: str
    fact: str


def parser() -> Parser:
    """The options that it takes."""
    made = Parser(prog="tidegate doctor", description="What Tidegate finds on this machine.")
    made.add_argument(
        "subject",
        nargs="?",
        choices=["keys"],
        help="keys: show what the terminal sends for each key pressed, and what it does in the workspace",
    )
    add_model(made)
    return made


def run(given: list[str]) -> int:
    """Examine; see there."""
    options = parser().parse_args(given)
    if options.subject == "keys":
        from app.ui.keys import key_report  # noqa: PLC0415  brings Textual

        return key_report.run()
    return examine(options.model)


def examine(model: str | None) -> int:
    """Print all findings; 1 if something essential is missing, else 0."""
    essential = True
    for finding in _findings(model):
        print(f"{finding.mark:8} {finding.subject:10} {finding.fact}", flush=True)
        essential = essential and finding.mark != "missing"
    return 0 if essential else 1


def _findings(model: str | None) -> Iterator[Finding]:
    yield Finding("ok", "tidegate", version("tidegate"))
    yield Finding("ok", "python", f"{platform.python_version()}, {sys.executable}")
    yield Finding("ok", "machine", f"{platform.system()} {platform.release()}, {platform.machine()}")
    yield _package("mlx", "the engine cannot run; servers can still be used")
    # Which library multiplies on a CPU, whether graphs are kept there, and whether the engine's kernel does
    # on a Mac what plain operations do.
    yield from _engine_says("blas", "mlx-cpu", "mlx_model.memory.blas")
    yield from _engine_says("graphs", "mlx-cpu", "mlx_model.memory.graphs")
    yield from _engine_says("deltanet step", "mlx-metal", "mlx_model.engine.kernel_choice")
    yield _package("textual", "the workspace cannot open")
    yield _git()
    yield _ripgrep()
    yield _sandbox()
    usable = judge(0).usable
    yield Finding(
        "ok", "memory", f"{gigabytes(machine_memory())}, of which a model may use {gigabytes(usable)}"
    )
    try:
        settings = load_settings()
        named = model if model is not None else settings.model
        state = "" if settings_file().exists() else " (not there: all defaults)"
        yield Finding("ok", "settings", f"{settings_file()}{state}")
        yield from _servers(settings)
    except TidegateError as error:
        yield Finding("missing", "settings", str(error))
        named = model or ""
    yield from _model(named)


def _servers(settings: Settings) -> Iterator[Finding]:
    """The MCP servers, each started and asked for its tools."""
    if not settings.mcp:
        return

    async def ask() -> tuple[ServerState, ...]:
        servers = Servers(settings.mcp, Path.cwd(), is_offline=settings.offline)
        try:
            await servers.start()
            return servers.states
        finally:
            await servers.aclose()

    for state in asyncio.run(ask()):
        if state.phase == "ready":
            cost = f"{len(state.tools)} tools, about {state.tokens:,} tokens of every prompt"
            yield Finding("ok", "mcp", f"{state.name}: {cost}")
        else:
            yield Finding("note", "mcp", f"{state.name} cannot be used: {state.message}")


def _package(name: str, consequence: str) -> Finding:
    try:
        return Finding("ok", name, version(name))
    except PackageNotFoundError:
        return Finding("missing", name, f"not installed: {consequence}")


def _engine_says(name: str, package: str, module: str) -> Iterator[Finding]:
    """What a module of the engine says of this machine when it is run, where MLX's `package` is installed."""
    try:
        version(package)
    except PackageNotFoundError:
        return
    said = subprocess.run(
        [sys.executable, "-P", "-m", module], capture_output=True, text=True, check=False, timeout=60
    )
    mark: Mark = "ok" if said.returncode == 0 else "note"
    last = (said.stdout.strip() or said.stderr.strip() or "no answer").splitlines()[-1]
    yield Finding(mark, name, last)


def _git() -> Finding:
    git = shutil.which("git")
    if git is None:
        return Finding("missing", "git", "not found: install it; review and commits need it")
    said = subprocess.run([git, "--version"], capture_output=True, text=True, check=False, timeout=20)
    if said.returncode:
        # On a Mac without developer tools git is there, and only says how to get them.
        reason = " ".join(said.stderr.split()) or f"it ends with status {said.returncode}"
        return Finding("missing", "git", f"{git} does not run ({reason}); on a Mac: xcode-select --install")
    return Finding("ok", "git", f"{said.stdout.strip().removeprefix('git version ')}, {git}")


def _ripgrep() -> Finding:
    try:
        return Finding("ok", "ripgrep", ripgrep.executable())
    except TidegateError as error:
        return Finding("missing", "ripgrep", str(error))


def _sandbox() -> Finding:
    sandbox = find_sandbox()
    if sandbox is None:
        wanted = "sandbox-exec" if sys.platform == "darwin" else "bubblewrap"
        return Finding(
            "note", "sandbox", f"no working {wanted}: in auto mode, commands run with all your rights"
        )
    name = type(sandbox).__name__.lower()
    return (
        Finding("note", "sandbox", f"{name}; {sandbox.lacks}")
        if sandbox.lacks
        else Finding("ok", "sandbox", name)
    )


def _server(served: ServedModel) -> Finding:
    """What the server that the user named answers. Nothing else is asked of it than which models it has."""

    async def ask() -> EngineStatus:
        engine = open_engine(served, load_settings())
        try:
            return await until_settled(engine)
        finally:
            await engine.aclose()

    try:
        status = asyncio.run(ask())
    except TidegateError as error:
        return Finding("missing", "model", str(error))
    model = status.model
    if status.phase != "ready" or model is None:
        return Finding("missing", "model", status.message)
    context = f", {model.context_length:,} tokens of context" if model.context_length else ""
    return Finding("ok", "model", f"{model.id} at {served.url}{context}")


def _model(named: str) -> Iterator[Finding]:
    try:
        choice = choose_model(named)
    except TidegateError as error:
        yield Finding("missing", "model", str(error))
        return
    if isinstance(choice, NothingFound):
        yield Finding("missing", "model", "; ".join(choice.looked_for) + "; see: tidegate model list")
        return
    if not isinstance(choice, LocalModel):
        yield _server(choice)
        return
    yield Finding("ok", "model", f"{choice.name}, {choice.path}")
    verdict = judge(weight_bytes(choice.path))
    yield Finding("ok" if verdict.fits else "note", "fit", verdict.reason)
    place = EngineFiles.of(Path(choice.path))
    try:
        place.prepare()
    except TidegateError as error:
        yield Finding("missing", "socket", str(error))
    else:
        yield Finding("ok", "socket", str(place.socket))
        yield Finding("ok", "log", str(place.log))
