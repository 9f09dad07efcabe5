"""`tidegate [PATH]`: the workspace."""

import argparse
import gc
from collections.abc import Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

from app.commands.options import (
    BadUsage,
    Parser,
    add_adapter,
    add_draft,
    add_mode,
    add_model,
    add_session,
    alike,
    resolved,
    session_of,
    settings_of,
)
from app.commands.table import COMMANDS
from app.commands.terminal import has_terminal, require_full_screen
from app.first_frame.held import holding
from app.first_frame.picture import read_picture
from app.model.catalogue.catalogue import NothingFound, choose_model
from app.model.catalogue.practice import has_practice_model
from app.paths import expanded


class _Version(argparse.Action):
    """Prints the version and ends; what knows it takes a while to be imported."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version, and end")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version  # noqa: PLC0415

        print(f"tidegate {version('tidegate')}")
        parser.exit()


def run(given: list[str]) -> int:
    """Open it. Raises TidegateError for what cannot be opened."""
    made = parser()
    options, rest = made.parse_known_args(given)
    if options.path in COMMANDS and not Path(options.path).exists():
        raise BadUsage(
            f"{options.path} is a command, and goes first", f"write it as: tidegate {options.path} …"
        )
    if rest:
        made.error(f"unrecognized arguments: {' '.join(rest)}")
    settings = settings_of(options)
    directory, file = _place(options.path or ".")
    # A name that means nothing is told before the screen opens.
    choice = choose_model(settings.model if options.model is None else options.model)
    is_bare = options.path is None and options.mode is None and not (options.goes_on or options.resume)
    if is_bare and isinstance(choice, NothingFound) and has_practice_model():
        from app.commands.practice import first_minute  # noqa: PLC0415

        return first_minute(settings)
    instead = 'tidegate run "PROMPT"'
    if not has_terminal():
        raise BadUsage("the workspace needs a terminal", f"without one, use: {instead}")
    require_full_screen(instead)
    session = session_of(options, directory)
    # A file is shown where the picture has none, and its pane has the keys.
    picture = read_picture(directory, get_terminal_size()) if file is None else None
    # What is imported from here on stays, and the collector would look through it again and again; the
    # application turns it on once it is drawn.
    gc.disable()
    try:
        with holding(picture):
            from app.ui.app import run_workspace  # noqa: PLC0415

            return run_workspace(
                directory, options.model, settings, show_file=file, session=session, mode=options.mode
            )
    finally:
        if settings.learn_from_review:
            # The screen is gone, so nobody waits for it.
            from app.tuning.collecting import collect_if_wanted  # noqa: PLC0415

            collect_if_wanted(directory)


def parser() -> Parser:
    """The options that it takes."""
    made = Parser(
        prog="tidegate",
        usage="tidegate [PATH] [--model MODEL] [--mode MODE] [--draft MODE] [--adapter ADAPTER]\n"
        "                [--continue | --resume ID]\n"
        "       tidegate COMMAND ...",
        description="A coding workspace for the terminal, with a model of its own and review by hunk.",
        epilog="commands:\n" + "\n".join(f"  {name:9} {command.summary}" for name, command in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument(
        "path",
        nargs="?",
        metavar="PATH",
        help="a directory, or a file in it to show (default: here; without any model, the practice range)",
    )
    add_model(made)
    add_mode(made, "before it writes or runs anything")
    add_draft(made)
    add_adapter(made)
    add_session(made)
    made.add_argument("--version", action=_Version)
    return made


def _place(named: str) -> tuple[Path, Path | None]:
    """The directory to open and the file in it to show."""
    path = expanded(named)
    if not path.exists():
        meant = alike(named, COMMANDS)
        remedy = f"did you mean tidegate {meant}?" if meant else "name a directory, a file or a command"
        raise BadUsage(f"{named} does not exist", f"{remedy} (tidegate --help)")
    path = resolved(path)
    return (path, None) if path.is_dir() else (_repository_of(path), path)


def _repository_of(file: Path) -> Path:
    """The root of the repository that a file lies in, else its folder."""
    return next((parent for parent in file.parents if (parent / ".git").exists()), file.parent)
