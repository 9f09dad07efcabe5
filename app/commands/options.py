"""The options that several commands share, and what they come to."""

import argparse
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, get_args

from app.errors import TidegateError
from app.paths import expanded
from app.settings.settings import DraftMode, Settings, load_settings


class BadUsage(TidegateError):
    """The command line asks for something that there is not."""


class Parser(argparse.ArgumentParser):
    """Says of a mistyped option or command which one was probably meant."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"unrecognized arguments: (\S+)|invalid choice: '([^']+)'", message)
        if wrong:
            meant = alike(wrong[1] or wrong[2], _words_of(self), most=2)
            message += f". Did you mean {meant}?" if meant else ""
        super().error(message)


def alike(word: str, known: Iterable[str], most: int = 1) -> str:
    """What of `known` was probably meant by a mistyped word, "" if nothing is like it."""
    from difflib import get_close_matches  # noqa: PLC0415  only after a mistake

    return " or ".join(get_close_matches(word, list(dict.fromkeys(known)), most))


def _words_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The options and choices of a parser and of those below it."""
    for action in parser._actions:
        yield from action.option_strings
        yield from map(str, action.choices or ())
        for below in action.choices.values() if isinstance(action.choices, dict) else ():
            yield from _words_of(below)


def add_model(parser: argparse.ArgumentParser) -> None:
    """--model."""
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="a directory, a downloaded model (owner/name) or a server (http://host/v1, http://host/v1#name)",
    )


def add_draft(parser: argparse.ArgumentParser) -> None:
    """--draft."""
    parser.add_argument(
        "--draft",
        choices=get_args(DraftMode),
        help="where our engine's drafts come from, which make replies faster, never different (default: the "
        "settings', else auto)",
    )


def add_adapter(parser: argparse.ArgumentParser) -> None:
    """--adapter."""
    parser.add_argument(
        "--adapter",
        metavar="ADAPTER",
        help="the adapter that our engine computes replies under: a name, a directory, or none (default: the "
        "settings')",
    )


def add_mode(parser: argparse.ArgumentParser, ask: str) -> None:
    """--mode; `ask` is what the mode of that name does not do unasked."""
    parser.add_argument(
        "--mode",
        choices=("auto", "ask", "plan"),
        help=f"auto: act freely within the sandbox; ask: {ask}; plan: read only (default: the session's, else "
        "the settings')",
    )


def add_session(parser: argparse.ArgumentParser) -> None:
    """--continue and --resume."""
    session = parser.add_mutually_exclusive_group()
    session.add_argument("--continue", action="store_true", dest="goes_on", help="go on with the last session")
    session.add_argument(
        "--resume", metavar="ID", help="go on with this session (tidegate run names it in its json output)"
    )


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings, and above them what the command line says of drafts and of the adapter."""
    given = {name: getattr(options, name, None) for name in ("draft", "adapter")}
    return replace(load_settings(), **{name: value for name, value in given.items() if value is not None})


def session_of(options: argparse.Namespace, directory: Path) -> str | None:
    """The id of the session to go on with, None for a new one. Raises SessionError."""
    if options.goes_on:
        from app.agent.session.index import last_session  # noqa: PLC0415

        return last_session(directory)
    if options.resume is not None:
        from app.agent.session.session import session_path  # noqa: PLC0415

        session_path(directory, options.resume)
    return options.resume  # type: ignore[no-any-return]


def directory_of(named: str) -> Path:
    """The directory to work in, as -C names it. Raises BadUsage."""
    directory = expanded(named)
    if not directory.is_dir():
        raise BadUsage(f"{named} is not a directory", "name one after -C")
    return resolved(directory)


def resolved(path: Path) -> Path:
    """`path` without links, from the root on. Raises BadUsage where the current directory is gone."""
    try:
        return path.resolve()
    except FileNotFoundError:
        raise BadUsage("the current directory has been removed", "change to another one") from None
