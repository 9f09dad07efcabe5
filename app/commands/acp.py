"""`tidegate acp`: the agent of an editor."""

import os
import stat
import sys

from app.commands.options import BadUsage, Parser, add_draft, add_model, settings_of
from app.model.catalogue.catalogue import ModelChoice, choose_model
from app.model.errors import NoModel


def parser() -> Parser:
    """The options that it takes."""
    made = Parser(
        prog="tidegate acp",
        allow_abbrev=False,
        description="Be the agent of an editor, which speaks the Agent Client Protocol over standard input and "
        "output: name this command in the editor's settings.",
    )
    add_model(made)
    add_draft(made)
    return made


def run(given: list[str]) -> int:
    """Speak with the editor until it leaves. Raises BadUsage where there is none, or the extra is missing."""
    options = parser().parse_args(given)
    settings = settings_of(options)
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
