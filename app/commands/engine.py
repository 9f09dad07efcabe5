"""The engine's own commands, which are another program."""

import os
import sys
from typing import NoReturn


def become_engine(given: list[str]) -> NoReturn:
    """Become the engine, which reads the command line itself, its name first, and calls itself what the user
    called."""
    sys.stdout.flush()
    os.environ["TIDEGATE_PROGRAM"] = "tidegate"
    os.execv(sys.executable, [sys.executable, "-P", "-m", "mlx_model", *given])
