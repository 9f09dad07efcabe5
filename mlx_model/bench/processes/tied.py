"""Processes that end when the measurement that started them does, however that ends: a signal, SIGKILL and an
abort in MLX included.

Between the two stands a guard, this file run as a program. It waits on a pipe of which the measurement alone
has the other end. The kernel closes that end for whatever reason the measurement is gone, and the guard then
ends the command. Both are in a session of their own: a terminal's Ctrl+C goes to the measurement alone, which
ends them in order.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import parent_process
from typing import IO, Any

_STOP_SECONDS = 60.0
"""Twice what a server takes at most to write its snapshots after SIGTERM."""


def start_tied(
    command: Sequence[str], *, out: IO[Any], log: IO[Any], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command with an empty standard input, its output to `out` and its errors to `log`. The returned
    process ends with its exit status, 128 and more where a signal ended it."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, *command],
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=log,
        env=environment,
        start_new_session=True,
    )


def end_tied(process: subprocess.Popen[bytes]) -> None:
    """End a started command with SIGTERM, after a minute with SIGKILL, and wait until it is gone."""
    assert process.stdin is not None, "it was started by start_tied"
    process.stdin.close()
    process.wait()


def end_with_parent() -> None:
    """Have this process, one that `multiprocessing` spawned, end at once when its parent has ended."""
    parent = parent_process()
    assert parent is not None, "multiprocessing started this process"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _guard(command: Sequence[str]) -> int:
    """Run the command until it or standard input ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Handled and not ignored, which the command would inherit.
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def end_with_input() -> None:
        os.read(0, 1)  # nothing is ever written
        child.terminate()
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()

    threading.Thread(target=end_with_input, daemon=True).start()
    status = child.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(_guard(sys.argv[1:]))
