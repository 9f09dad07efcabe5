"""`tidegate bench`: the workspace's own measurements, and the engine's, which reads their line itself."""

import importlib

from app.commands.engine import become_engine

_OWN = {
    "review": "app.ui.bench.review",
    "edits": "app.commands.bench.edits",
    "practice": "app.commands.bench.practice",
}


def run(given: list[str]) -> int:
    """Run the one that is named first."""
    module = _OWN.get(given[0]) if given else None
    if module is None:
        become_engine(["bench", *given])
    return int(importlib.import_module(module).run(given[1:]))
