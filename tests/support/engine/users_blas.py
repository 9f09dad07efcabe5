"""Programs with a user's BLAS: tests compute with MLX's own, which is slow and everywhere the same."""

import json
import os
import subprocess
import sys
from typing import Any

from mlx_model.memory.blas import VARIABLE
from tests.support.patience import LONGEST
from tests.support.places import ROOT


def told_by(module: str, *words: object) -> dict[str, Any]:
    """What `python -m module words` prints last, as JSON."""
    ended = subprocess.run(
        [sys.executable, "-m", module, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != VARIABLE},
        timeout=14 * LONGEST,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found
