"""`tidegate completions SHELL`: the script by which a shell completes the command line."""

import argparse
import importlib

from app.commands import workspace
from app.commands.options import Parser
from app.commands.table import COMMANDS

_SHELLS = ("bash", "zsh", "fish")
# What is a file or a directory, by its name in the usage.
_FILES = ("FILE", "PATH", "REV | A..B | A...B | FILE.patch | -")
_DIRECTORIES = ("DIR",)


def run(given: list[str]) -> int:
    """Print it."""
    options = parser().parse_args(given)
    import shtab  # noqa: PLC0415  only for this

    whole = _whole()
    _mark(whole, shtab.FILE, shtab.DIRECTORY)
    print(shtab.complete(whole, options.shell))
    return 0


def parser() -> Parser:
    """The options that it takes."""
    made = Parser(
        prog="tidegate completions",
        allow_abbrev=False,
        description="Print the script by which a shell completes the command line, to be put where the shell "
        "looks for such scripts.",
    )
    made.add_argument("shell", choices=_SHELLS)
    return made


def _whole() -> Parser:
    """The whole command line as one parser, for completion alone. The engine's commands take their options from
    another program, and are completed by name."""
    whole = Parser(prog="tidegate")
    for action in workspace.parser()._actions:
        if action.option_strings and action.dest != "help":
            whole._add_action(action)
    commands = whole.add_subparsers(dest="command")
    for name, command in COMMANDS.items():
        module = importlib.import_module(command.module) if command.module else None
        parents = [module.parser()] if module is not None and hasattr(module, "parser") else []
        commands.add_parser(name, help=command.summary, parents=parents, add_help=not parents)
    return whole


def _mark(made: argparse.ArgumentParser, file: object, directory: object) -> None:
    for action in made._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _mark(below, file, directory)
        elif action.metavar in (*_FILES, *_DIRECTORIES):
            action.complete = directory if action.metavar in _DIRECTORIES else file  # type: ignore[attr-defined]
