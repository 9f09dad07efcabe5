"""A training as a process of the engine's, ended when it may not run any more. It goes on the next time."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.errors import TidegateError
from app.paths import child_environment

_LOOK_SECONDS = 15.0
"""How often the machine is looked at meanwhile: so long a user who comes back waits at most for the memory."""
_END_SECONDS = 120.0
"""How long the engine may take to save what it has and end."""
_LENGTH = 4096
"""Tokens of an example; of a longer conversation the end is taken."""
_EPOCHS = 2
_BATCH = 4
_DRAFT_LENGTH = 512
"""Tokens of a text that the drafting layer is fitted on."""
_DRAFT_EPOCHS = 8
_DRAFT_STEPS = (20, 300)
"""At least and at most, so that little text is not gone over a hundred times."""
_BYTES_A_TOKEN = 3
"""Of code, for an estimate."""


_PROGRAM = re.compile(r"^mlx_model [a-z-]+: ")
"""What the engine's errors begin with."""
_WATCH = f"""read -r group || exit 0; read -r _; kill -s INT -- "-$group"
left={_END_SECONDS:.0f}
while [ $left -gt 0 ] && kill -s 0 -- "-$group"; do sleep 1; left=$((left - 1)); done
kill -s KILL -- "-$group" """
"""Is told a process group, and ends it when its input is closed: when we died."""


class TrainingFailed(TidegateError):
    """The engine refused to train, or ended with an error."""


Ended = tuple[dict[str, Any] | None, str]
"""What the engine told at the end, None where it was stopped, and then why."""


def tune_command(model: Path, data: Path, out: Path, examples: int) -> list[str]:
    """The command that trains an adapter of so many examples."""
    steps = max(50, _EPOCHS * examples // _BATCH)
    options = {"model": model, "data": data, "out": out, "steps": steps, "batch": _BATCH, "length": _LENGTH}
    return _engine("tune", {**options, "held-out": 0.2})


def draft_command(model: Path, adapter: Path, data: Path) -> list[str]:
    """The command that fits the model's drafting layer to the adapter."""
    texts = data.stat().st_size / _BYTES_A_TOKEN / _DRAFT_LENGTH
    least, most = _DRAFT_STEPS
    steps = min(max(least, int(_DRAFT_EPOCHS * texts / _BATCH)), most)
    options = {"model": model, "adapter": adapter, "data": data, "steps": steps, "batch": _BATCH}
    return _engine("train-mtp", {**options, "sequence-length": _DRAFT_LENGTH})


def _engine(name: str, options: dict[str, object]) -> list[str]:
    words = [word for option, value in options.items() for word in (f"--{option}", str(value))]
    return [sys.executable, "-P", "-m", "mlx_model", name, *words, "--json"]


def train(
    command: Sequence[str], reason_to_stop: Callable[[], str], look_seconds: float = _LOOK_SECONDS
) -> Ended:
    """Run the command to its end, or until there is a reason to stop. Raises TrainingFailed with the engine's
    last words."""
    with (
        _watcher() as watch,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=child_environment(),
            start_new_session=True,
        ) as process,
    ):
        watch(process.pid)
        why = ""
        while True:
            try:
                out, err = process.communicate(timeout=look_seconds if not why else _END_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if why:
                    process.kill()
                    continue
                why = reason_to_stop()
                if why:
                    process.send_signal(signal.SIGINT)
            except BaseException:
                process.send_signal(signal.SIGINT)
                raise
    if why and process.returncode:
        return None, why
    if process.returncode:
        last = [line for line in err.splitlines() if line.strip()][-1:]
        said = (last or [f"the training ended with status {process.returncode}"])[0]
        raise TrainingFailed(_PROGRAM.sub("", said))
    try:
        told = json.loads(out)
    except ValueError:
        raise TrainingFailed("the engine did not say how the training ended") from None
    return told, ""


@contextmanager
def _watcher() -> Iterator[Callable[[int], None]]:
    """Yields what is to be told the process group of a training. Should this process die, the training is
    interrupted: nobody would see any more whether it may go on."""
    with subprocess.Popen(
        ["/bin/sh", "-c", _WATCH],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        told = process.stdin

        def watch(group: int) -> None:
            print(group, file=told, flush=True)

        try:
            yield watch
        finally:
            process.kill()
