"""How much work MLX gives the GPU at once, by chip.

MLX charges every gather_qmm with the whole bank of experts, so its default limits cut a decoding step into many
tiny command buffers. Others report 5 to 28 % faster decoding with larger ones on M1 to M4, at 5 to 6 % of the
prompt's speed, and nothing on M5; not measured by us. `bench tune` measures it on the user's machine, and what
it finds is kept in a file by chip, which goes before the table here.
"""

import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from mlx_model.durable import replacing

_log = logging.getLogger(__name__)

NAMES = ("MLX_MAX_OPS_PER_BUFFER", "MLX_MAX_MB_PER_BUFFER")
"""MLX's environment variables: operations of a command buffer, and megabytes that they read and write."""
_RAISED = {name: "1000" for name in NAMES}
_RAISED_ON = re.compile(r"Apple M[1-4]\b")
"""The chips for which larger command buffers were reported to be faster; others keep MLX's own limits."""


def tuning_file() -> Path:
    """Where tuned limits are kept: in the user's settings folder, or under `TIDEGATE_HOME` where it is set."""
    home = os.environ.get("TIDEGATE_HOME")
    folder = (
        Path(home).expanduser() if home else Path(platformdirs.user_config_dir("tidegate", appauthor=False))
    )
    return folder / "engine-tuning.json"


def buffer_limits(chip: str, file: Path | None = None) -> Mapping[str, str]:
    """Environment variables with the limits for a chip by its name, none to keep MLX's own: those in the file
    of tuned ones, else those of the table."""
    tuned = _tuned(file).get(chip) if file is not None else None
    if tuned is not None:
        return tuned
    return _RAISED if _RAISED_ON.match(chip) else {}


def keep_limits(file: Path, chip: str, limits: Mapping[str, str]) -> None:
    """Writes a chip's tuned limits to the file, beside those of other chips. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    table = {**_tuned(file), chip: dict(limits)}
    with replacing(file, file.with_suffix(".new")) as new:
        new.write_text(json.dumps(table, indent=2) + "\n")


def _tuned(file: Path) -> dict[str, dict[str, str]]:
    """The file's limits by chip; none, and a line in the log, where it holds something else."""
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _log.warning("%s cannot be read, so command buffers are as without it: %s", file, error)
        return {}
    if not isinstance(table, dict) or not all(_are_limits(limits) for limits in table.values()):
        _log.warning("%s holds no limits of command buffers, which are as without it.", file)
        return {}
    return table


def _are_limits(limits: object) -> bool:
    return isinstance(limits, dict) and all(
        name in NAMES and isinstance(value, str) and value.isdecimal() for name, value in limits.items()
    )
