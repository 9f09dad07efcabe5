"""A process with the engine's command line and the scripted server behind it, run as `python fake_engine.py`.

Its model directory says how it behaves: `engine.json` holds {"loading": [0.0, 0.5], "replies": [["text", ...],
...], "exit": {"status": 2, "says": "..."}}, all optional. Each progress value is shown to one health check; a
part "<hang>" says nothing more. Each start adds a line with the process id to `starts` in the same directory.
"""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[4]))

from tests.support.agent.scripted_server import Hang, ScriptedServer, reply


def main() -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    for option in ("--model", "--socket", "--idle-exit"):
        parser.add_argument(option, required=True)
    options, _ = parser.parse_known_args()
    model = Path(options.model)
    with (model / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    file = model / "engine.json"
    behaviour = json.loads(file.read_text()) if file.exists() else {}
    if "exit" in behaviour:
        print("warming up\n" + behaviour["exit"]["says"], file=sys.stderr)
        return int(behaviour["exit"]["status"])
    replies = [
        reply(*(Hang() if part == "<hang>" else part for part in parts))
        for parts in behaviour.get("replies", [])
    ]
    server = _Loading(replies, socket=Path(options.socket), model=model.name)
    server.loading = list(behaviour.get("loading", []))
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with server:
        ended.wait()
    return 0


class _Loading(ScriptedServer):
    """Shows each progress value to one health check before it is ready."""

    loading: list[float]

    @property
    def health(self) -> tuple[int, dict[str, object]]:
        if self.loading:
            return 503, {"status": "loading", "progress": self.loading.pop(0)}
        return 200, {"status": "ok"}

    @health.setter
    def health(self, value: object) -> None:
        del value


if __name__ == "__main__":
    sys.exit(main())
