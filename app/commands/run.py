"""`tidegate run`: the agent does one thing, without a screen."""

import sys

from app.commands.headless import run_headless
from app.commands.options import (
    BadUsage,
    Parser,
    add_adapter,
    add_draft,
    add_mode,
    add_model,
    add_session,
    directory_of,
    session_of,
    settings_of,
)
from app.model.catalogue.catalogue import choose_model


def parser() -> Parser:
    """The options that it takes."""
    made = Parser(
        prog="tidegate run",
        allow_abbrev=False,
        description="Let the agent do one thing, without a screen. Standard input is added.",
    )
    made.add_argument("prompt", metavar="PROMPT")
    made.add_argument("-C", dest="directory", default=".", metavar="DIR", help="where to work (default: here)")
    add_model(made)
    add_draft(made)
    add_adapter(made)
    add_mode(made, "nothing that would need asking")
    made.add_argument("--output-format", choices=("text", "json", "stream-json"), default="text")
    add_session(made)
    return made


def run(given: list[str]) -> int:
    """Do it; see run_headless."""
    options = parser().parse_args(given)
    directory = directory_of(options.directory)
    prompt = options.prompt
    if sys.stdin is not None and not sys.stdin.isatty():
        piped = sys.stdin.read().strip()
        prompt = f"{prompt}\n\n{piped}" if piped else prompt
    if not prompt.strip():
        raise BadUsage("there is nothing to do", 'write it as: tidegate run "PROMPT"')
    settings = settings_of(options)
    choice = choose_model(options.model if options.model is not None else settings.model)
    return run_headless(
        prompt,
        directory=directory,
        choice=choice,
        settings=settings,
        mode=options.mode,
        output_format=options.output_format,
        session=session_of(options, directory),
    )
