"""`tidegate model`: listing and fetching from the command line."""

import asyncio
import signal
import sys
from contextlib import aclosing
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from app.commands.engine import become_engine
from app.commands.options import BadUsage, Parser
from app.model.catalogue.catalogue import (
    LocalModel,
    ServedModel,
    choose_model,
    directory_for,
    experts_of,
    models_on_disk,
    weight_bytes,
)
from app.model.catalogue.fetch import fetch_model
from app.model.catalogue.recipes import (
    CHECKED,
    MIXED_SIZE,
    ORIGINAL,
    RECIPES,
    Verdict,
    gigabytes,
    judge,
    machine_memory,
    suited,
)


def run(given: list[str]) -> int:
    """List, fetch or reckon."""
    if given[:1] == ["fit"]:
        _fit(given[1:])
    options = parser().parse_args(given)
    return list_models() if options.command == "list" else fetch(options.repository)


def parser() -> Parser:
    """The options that it takes."""
    made = Parser(prog="tidegate model", description="The models on this machine.")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("list", help="what is here, what can be fetched, and what fits into memory")
    commands.add_parser("fit", help="what a model holds in this machine's memory or another's", add_help=False)
    fetching = commands.add_parser("fetch", help="download a model from the Hub, or go on with a download")
    fetching.add_argument("repository", metavar="OWNER/NAME")
    return made


def _fit(given: list[str]) -> NoReturn:
    """The engine does the reckoning; here only a model's name becomes its directory."""
    naming = Parser(add_help=False, allow_abbrev=False)
    naming.add_argument("--model", default="")
    naming.add_argument("--config")
    options, rest = naming.parse_known_args(given)
    if options.config is not None:
        become_engine(["fit", *given])
    choice = choose_model(options.model)
    if isinstance(choice, ServedModel):
        raise BadUsage(f"{options.model} is a server", "name a model on this machine")
    # Without any model here, the engine knows the shape of the published one.
    model = ["--model", str(choice.path)] if isinstance(choice, LocalModel) else []
    become_engine(["fit", *model, *rest])


def list_models() -> int:
    """Print the models on disk and those that can be fetched, each with whether it fits."""
    usable = gigabytes(judge(0).usable)
    print(f"This machine has {gigabytes(machine_memory())} of memory, of which a model may use {usable}.\n")
    found = models_on_disk()
    print("On this machine:" if found else "On this machine: none.")
    for model in found:
        size = weight_bytes(model.path)
        print(_row(model.name, size, judge(size, experts=experts_of(model.path))))
        print(f"    {model.path}")
    print(f"\nTo fetch (tidegate model fetch OWNER/NAME), as public pages had it on {CHECKED}:")
    best = suited()
    for recipe in RECIPES:
        begun = directory_for(recipe.repository).with_name(directory_for(recipe.repository).name + ".partial")
        row = _row(recipe.repository, recipe.size, recipe.judged())
        print(row + ("  (begun)" if begun.is_dir() else ""))
        facts = [f"{gigabytes(recipe.memory)} of memory with 32 K of context", recipe.license]
        facts += [] if recipe.mtp else ["no MTP layer"]
        print(f"    {' · '.join(facts)}" + (" · suits this machine" if recipe is best else ""))
        if recipe.mtp:
            print(f"    its MTP layer (convert --graft-mtp): {recipe.mtp}")
    print("\nTo make, with experts at 4 bits and the rest at 8:")
    print(_row("q4-dense8", MIXED_SIZE, judge(MIXED_SIZE, experts=RECIPES[0].experts)))
    print(f"    tidegate model fetch {ORIGINAL.repository}   ({gigabytes(ORIGINAL.size)}, only to convert)")
    source, made = directory_for(ORIGINAL.repository), directory_for("q4-dense8")
    print(f"    tidegate convert --source '{source}' --out '{made}' --recipe q4-dense8")
    return 0


def _row(name: str, size: int, verdict: Verdict) -> str:
    return f"  {name:42} {gigabytes(size):>9}  {verdict.words}"


def fetch(repository: str) -> int:
    """Download `repository`, showing how far it is. Ctrl-C stops it; the next call resumes it."""
    try:
        path = asyncio.run(_fetch(repository))
    except KeyboardInterrupt:
        print(f"\nStopped. To go on: tidegate model fetch {repository}", file=sys.stderr)
        return 128 + signal.SIGINT
    print(path)
    return 0


async def _fetch(repository: str) -> Path:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("asking the Hub", total=None)
        async with aclosing(fetch_model(repository)) as steps:
            async for step in steps:
                if isinstance(step, Path):
                    return step
                bar.update(task, description=repository, completed=step.done, total=step.total)
    raise AssertionError("fetch_model ends with a path or an error")
