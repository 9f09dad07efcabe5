"""The programs that are measured: Tidegate, and its neighbours where they are installed."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_AGENTS = "TIDEGATE_AGENTS"
"""The variable that may name a folder in which other agents are installed, as an environment of Python's."""
# Vibe talks to the server that is given here, and asks nobody else for anything.
_VIBE_SETTINGS = """\
active_model = "bench"
enable_telemetry = false
enable_update_checks = false
enable_auto_update = false

[[providers]]
name = "bench"
api_base = "{url}"
api_key_env_var = "BENCH_API_KEY"
backend = "generic"

[[models]]
name = "bench"
provider = "bench"
alias = "bench"
"""


@dataclass(frozen=True, slots=True)
class Program:
    """What starts it in a directory, in front of a model, and variables that it needs besides."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def programs(top: Path, url: str) -> list[Program]:
    """Those that are here, each with settings of its own below `top`, in front of the server at `url`."""
    home = top / "tidegate"
    ours = (sys.executable, "-P", "-m", "app.cli")
    found = [Program("Tidegate", (*ours, "--model", url), {"TIDEGATE_HOME": str(home)})]
    vibe = _installed("vibe")
    if vibe is not None:
        (directory := top / "vibe").mkdir()
        (directory / "config.toml").write_text(_VIBE_SETTINGS.format(url=url))
        variables = {"VIBE_HOME": str(directory), "BENCH_API_KEY": "none", "MISTRAL_API_KEY": "none"}
        found.append(Program("Vibe", (vibe, "--trust"), variables))
    toad = _installed("toad")
    if toad is not None:
        # Toad has no agent of its own; the one that it starts is ours.
        agent = shlex.join([*ours, "acp", "--model", url])
        variables = {
            "TIDEGATE_HOME": str(home),
            **{f"XDG_{kind}_HOME": str(top / "toad" / kind.lower()) for kind in ("CONFIG", "DATA", "STATE")},
        }
        found.append(Program("Toad", (toad, "acp", agent), variables))
    return found


def environment(program: Program) -> dict[str, str]:
    """The whole environment to start it in: a terminal with all colours, whose size is its own."""
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    return {**kept, "TERM": "xterm-256color", "COLORTERM": "truecolor", **program.environment}


def _installed(name: str) -> str | None:
    folder = os.environ.get(_AGENTS, "")
    places = [str(Path(folder) / "bin"), folder] if folder else []
    return shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", "")]))
