"""`tidegate bench`: the workspace's own measurements, and the engine's, which reads their line itself."""

import importlib

from app.commands.engine import become_engine

_OWN = {
    "review": ("app.ui.bench.review", "a large diff on the screen"),
    "ui": ("app.ui.bench.screen.command", "how soon the workspace shows, answers and what it costs"),
    "edits": ("app.commands.bench.edits", "where edits land, though models misquote"),
    "practice": ("app.commands.bench.practice", "practice tasks that the agent fixes"),
}


def run(given: list[str]) -> int:
    """Run the one that is named first."""
    own = _OWN.get(given[0]) if given else None
    if own is None:
        if not given or given[0] in ("-h", "--help"):
            print("Measurements of the workspace:")
            for name, (_, summary) in _OWN.items():
                print(f"    {name:<9} {summary}")
            print("\nMeasurements of the engine:")
            given = ["--help"]
        become_engine(["bench", *given])
    return int(importlib.import_module(own[0]).run(given[1:]))
