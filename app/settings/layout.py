"""How wide the user made the panes, by workspace: a file beside the sessions."""

import json
from collections.abc import Mapping
from pathlib import Path

from app import durable
from app.paths import data_directory

_MOST = 200  # workspaces that are remembered, the newest


def pane_widths(root: Path) -> dict[str, int]:
    """The widths in columns by pane, none where nothing was chosen. A file that cannot be read counts as none:
    nothing but a layout is in it."""
    found = _read().get(str(root), {})
    return {name: width for name, width in found.items() if isinstance(width, int)}


def remember_pane_widths(root: Path, widths: Mapping[str, int]) -> None:
    """Keep these for the next time. Raises OSError."""
    known = _read()
    known.pop(str(root), None)
    if widths:
        known[str(root)] = dict(widths)
    kept = dict(list(known.items())[-_MOST:])
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True)
    durable.replace_file(file, (json.dumps(kept, indent=1).encode(),), durable.PRIVATE)


def _file() -> Path:
    return data_directory() / "panes.json"


def _read() -> dict[str, dict[str, int]]:
    try:
        found = json.loads(_file().read_bytes())
    except (OSError, ValueError):
        return {}
    is_known = isinstance(found, dict) and all(isinstance(widths, dict) for widths in found.values())
    return found if is_known else {}
