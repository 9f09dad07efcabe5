"""Sets of keys to begin with. Pure."""

from typing import Literal

from app.ui.keys.actions import ACTIONS
from app.ui.keys.keymap import Keymap

Preset = Literal["vim", "plain"]
_MOVEMENT = ("lines", "tree")
_VIM_MOVES = frozenset([*"hjklgGb", "ctrl+d", "ctrl+u", "ctrl+f"])


def preset_keys(preset: Preset) -> Keymap:
    """The keys that a preset gives in place of the table's. The table's own are Vim's, beside the arrows;
    "plain" moves by arrows and page keys alone, so that no letter moves the cursor."""
    if preset == "vim":
        return {}
    plain = {}
    for action in ACTIONS:
        kept = tuple(key for key in action.keys if key not in _VIM_MOVES)
        if action.scope in _MOVEMENT and kept and kept != action.keys:
            plain[action.id] = kept
    return plain
