"""The command line: opens the workspace, or hands over to one of the commands.

Only what a command needs is imported, and only once it is chosen: the workspace's first frame waits for this.
"""

import argparse
import io
import os
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from app.errors import TidegateError
from app.model.catalogue.catalogue import LocalModel, ModelChoice, ServedModel, choose_model
from app.model.errors import NoModel
from app.paths import expanded
from app.settings.settings import DraftMode, Settings, load_settings

_ENGINE_COMMANDS = {
    "serve": "run the engine by itself, for other tools (OpenAI Chat Completions)",
    "convert": "write a checkpoint in the engine's own layout, quantized by a recipe",
    "train-mtp": "fit a drafting layer to a checkpoint, over your own code",
    "info": "sizes, memory and the roof of a checkpoint",
    "bench": "measure speed on this machine (bench review: a large diff; bench edits: where edits land)",
    "cache": "list, verify or clear the snapshots kept on disk",
}


class BadUsage(TidegateError):
    """The command line asks for something that there is not."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0 for success, 1 for what did not come about, 2 for bad
    input, 130 for Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names need not be text, and a terminal need not know every character.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if given[:2] == ["bench", "review"]:
            return _bench_review(given[2:])
        if given[:2] == ["bench", "edits"]:
            return _bench_edits(given[2:])
        if given and given[0] in _ENGINE_COMMANDS:
            return _engine(given)
        if given and given[0] in _COMMANDS:
            return _COMMANDS[given[0]][1](given[1:])
        return _workspace(given)
    except TidegateError as error:
        print(f"tidegate: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            where = f" ({error.filename})" if error.filename else ""
            print(f"tidegate: {error.strerror or error}{where}", file=sys.stderr)
        if sys.stdout is not None:
            # What reads our output has gone, or takes no more: nothing may be said any more, not even at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


class _Version(argparse.Action):
    """Prints the version and ends; what knows it takes a while to be imported."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version, and end")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version  # noqa: PLC0415

        print(f"tidegate {version('tidegate')}")
        parser.exit()


def _workspace(given: list[str]) -> int:
    commands = {**{name: summary for name, (summary, _) in _COMMANDS.items()}, **_ENGINE_COMMANDS}
    parser = argparse.ArgumentParser(
        prog="tidegate",
        usage="tidegate [PATH] [--model MODEL] [--mode MODE] [--draft MODE] [--continue | --resume ID]\n"
        "       tidegate COMMAND ...",
        description="A coding workspace for the terminal, with a model of its own and review by hunk.",
        epilog="commands:\n" + "\n".join(f"  {name:9} {summary}" for name, summary in commands.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "path", nargs="?", default=".", metavar="PATH", help="a directory, or a file in it to show"
    )
    _add_model(parser)
    _add_mode(parser, "before it writes or runs anything")
    _add_draft(parser)
    _add_session(parser)
    parser.add_argument("--version", action=_Version)
    options, rest = parser.parse_known_args(given)
    if options.path in commands and not Path(options.path).exists():
        raise BadUsage(
            f"{options.path} is a command, and goes first", f"write it as: tidegate {options.path} …"
        )
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    directory, file = _place(options.path)
    settings = _settings(options)
    # A name that means nothing is told before the screen opens.
    choose_model(settings.model if options.model is None else options.model)
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        raise BadUsage("the workspace needs a terminal", 'without one, use: tidegate run "PROMPT"')
    if os.environ.get("TERM") == "dumb":
        raise BadUsage("this terminal (TERM=dumb) has no full screen", 'use another, or: tidegate run "PROMPT"')
    session = _session(options, directory)
    from app.ui.app import run_workspace  # noqa: PLC0415

    return run_workspace(directory, options.model, settings, show_file=file, session=session, mode=options.mode)


def _place(named: str) -> tuple[Path, Path | None]:
    """The directory to open and the file in it to show."""
    path = expanded(named)
    if not path.exists():
        raise BadUsage(f"{named} does not exist", "name a directory, a file or a command (tidegate --help)")
    path = _resolved(path)
    return (path, None) if path.is_dir() else (path.parent, path)


def _directory(named: str) -> Path:
    """The directory to work in, as -C names it."""
    directory = expanded(named)
    if not directory.is_dir():
        raise BadUsage(f"{named} is not a directory", "name one after -C")
    return _resolved(directory)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except FileNotFoundError:
        raise BadUsage("the current directory has been removed", "change to another one") from None


def _run(given: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="tidegate run",
        allow_abbrev=False,
        description="Let the agent do one thing, without a screen. Standard input is added.",
    )
    parser.add_argument("prompt", metavar="PROMPT")
    parser.add_argument(
        "-C", dest="directory", default=".", metavar="DIR", help="where to work (default: here)"
    )
    _add_model(parser)
    _add_draft(parser)
    _add_mode(parser, "nothing that would need asking")
    parser.add_argument("--output-format", choices=("text", "json", "stream-json"), default="text")
    _add_session(parser)
    options = parser.parse_args(given)
    directory = _directory(options.directory)
    prompt = options.prompt
    if sys.stdin is not None and not sys.stdin.isatty():
        piped = sys.stdin.read().strip()
        prompt = f"{prompt}\n\n{piped}" if piped else prompt
    if not prompt.strip():
        raise BadUsage("there is nothing to do", 'write it as: tidegate run "PROMPT"')
    settings = _settings(options)
    choice = choose_model(options.model if options.model is not None else settings.model)
    session = _session(options, directory)
    from app.commands.run import run_headless  # noqa: PLC0415

    return run_headless(
        prompt,
        directory=directory,
        choice=choice,
        settings=settings,
        mode=options.mode,
        output_format=options.output_format,
        session=session,
    )


def _acp(given: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="tidegate acp",
        allow_abbrev=False,
        description="Be the agent of an editor, which speaks the Agent Client Protocol over standard input and "
        "output: name this command in the editor's settings.",
    )
    _add_model(parser)
    _add_draft(parser)
    options = parser.parse_args(given)
    settings = _settings(options)
    if not (_is_pipe(0) and _is_pipe(1)):
        raise BadUsage(
            "tidegate acp is spoken to by editors, over pipes", 'without one, use: tidegate run "PROMPT"'
        )
    try:
        import acp  # noqa: F401, PLC0415  an extra
    except ImportError:
        raise BadUsage(
            "tidegate acp needs the package agent-client-protocol",
            f"{sys.executable} -m pip install 'agent-client-protocol>=0.12.1,<0.13' does it",
        ) from None
    from app.acp.server import run_acp  # noqa: PLC0415

    try:
        choice: ModelChoice | NoModel = choose_model(
            options.model if options.model is not None else settings.model
        )
    except NoModel as error:
        choice = error  # the editor asks first, and is then told
    return run_acp(choice, settings)


def _is_pipe(descriptor: int) -> bool:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _warm(given: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="tidegate warm",
        allow_abbrev=False,
        description="Have the model read a part of the project once, so that sessions in it begin from there: "
        "AGENTS.md, a map of all files, and what is named. Without PATH, what was named the last time.",
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="files, or directories with all text in them")
    parser.add_argument("-C", dest="directory", default=".", metavar="DIR", help="the project (default: here)")
    parser.add_argument(
        "--forget", action="store_true", help="let sessions in the project begin with nothing again"
    )
    _add_model(parser)
    options = parser.parse_args(given)
    directory = _directory(options.directory)
    from app.commands import warm  # noqa: PLC0415

    if options.forget:
        return warm.run_forget(directory)
    settings = load_settings()
    choice = choose_model(options.model if options.model is not None else settings.model)
    return warm.run_warm(options.paths, directory=directory, choice=choice, settings=settings)


def _review(given: list[str]) -> int:
    from app.commands.review import review  # noqa: PLC0415

    return review(given)


def _bench_review(given: list[str]) -> int:
    from app.ui.bench.review import run  # noqa: PLC0415

    return run(given)


def _bench_edits(given: list[str]) -> int:
    from app.commands.bench_edits import run  # noqa: PLC0415

    return run(given)


def _model(given: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tidegate model", description="The models on this machine.")
    if given[:1] == ["fit"]:
        return _fit(given[1:])
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("list", help="what is here, what can be fetched, and what fits into memory")
    commands.add_parser("fit", help="what a model holds in this machine's memory or another's", add_help=False)
    fetch = commands.add_parser("fetch", help="download a model from the Hub, or go on with a download")
    fetch.add_argument("repository", metavar="OWNER/NAME")
    options = parser.parse_args(given)
    from app.commands import model as model_commands  # noqa: PLC0415

    if options.command == "list":
        return model_commands.list_models()
    return model_commands.fetch(options.repository)


def _fit(given: list[str]) -> int:
    """The engine does the reckoning; here only a model's name becomes its directory."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--model", default="")
    parser.add_argument("--config")
    options, rest = parser.parse_known_args(given)
    if options.config is not None:
        return _engine(["fit", *given])
    choice = choose_model(options.model)
    if isinstance(choice, ServedModel):
        raise BadUsage(f"{options.model} is a server", "name a model on this machine")
    # Without any model here, the engine knows the shape of the published one.
    model = ["--model", str(choice.path)] if isinstance(choice, LocalModel) else []
    return _engine(["fit", *model, *rest])


def _doctor(given: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tidegate doctor", description="What Tidegate finds on this machine.")
    _add_model(parser)
    options = parser.parse_args(given)
    from app.commands.doctor import examine  # noqa: PLC0415

    return examine(options.model)


def _engine(given: list[str]) -> int:
    """Become the engine, which reads the rest of the command line itself."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "mlx_model", *given])


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="a directory, a downloaded model (owner/name) or a server (http://host/v1, http://host/v1#name)",
    )


def _add_session(parser: argparse.ArgumentParser) -> None:
    session = parser.add_mutually_exclusive_group()
    session.add_argument("--continue", action="store_true", dest="goes_on", help="go on with the last session")
    session.add_argument(
        "--resume", metavar="ID", help="go on with this session (tidegate run names it in its json output)"
    )


def _session(options: argparse.Namespace, directory: Path) -> str | None:
    """The id of the session to go on with, None for a new one. Raises SessionError."""
    if options.goes_on:
        from app.agent.session.index import last_session  # noqa: PLC0415

        return last_session(directory)
    if options.resume is not None:
        from app.agent.session.session import session_path  # noqa: PLC0415

        session_path(directory, options.resume)
    return options.resume  # type: ignore[no-any-return]


def _add_draft(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--draft",
        choices=get_args(DraftMode),
        help="where our engine's drafts come from, which make replies faster, never different (default: the "
        "settings', else auto)",
    )


def _add_mode(parser: argparse.ArgumentParser, ask: str) -> None:
    parser.add_argument(
        "--mode",
        choices=("auto", "ask", "plan"),
        help=f"auto: act freely within the sandbox; ask: {ask}; plan: read only (default: the session's, else "
        "the settings')",
    )


def _settings(options: argparse.Namespace) -> Settings:
    """The settings, and above them what the command line says of drafts."""
    settings = load_settings()
    return settings if options.draft is None else replace(settings, draft=options.draft)


_COMMANDS: dict[str, tuple[str, Callable[[list[str]], int]]] = {
    "run": ("let the agent do one thing, without a screen", _run),
    "acp": ("be the agent of an editor (Agent Client Protocol)", _acp),
    "warm": ("have a part of the project read beforehand, for all its sessions", _warm),
    "review": ("review a commit, a range, the work tree, the index or a patch", _review),
    "model": ("list and fetch models", _model),
    "doctor": ("say what is found on this machine, and what is missing", _doctor),
}


if __name__ == "__main__":
    sys.exit(main())
