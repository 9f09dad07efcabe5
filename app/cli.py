"""The command line: opens the workspace, or hands over to one of the commands.

Only what a command needs is imported, and only once it is chosen: the workspace's first frame waits for this.
"""

import importlib
import io
import os
import sys
from collections.abc import Sequence

from app.commands.table import COMMANDS
from app.errors import TidegateError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0 for success, 1 for a failure, 2 for bad input, 130
    for Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names need not be text, and a terminal need not know every character.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _dispatch(given)
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


def _dispatch(given: list[str]) -> int:
    command = COMMANDS.get(given[0]) if given else None
    if command is None:
        from app.commands import workspace  # noqa: PLC0415

        return workspace.run(given)
    if not command.module:
        from app.commands.engine import become_engine  # noqa: PLC0415

        become_engine(given)
    return int(importlib.import_module(command.module).run(given[1:]))


if __name__ == "__main__":
    sys.exit(main())
