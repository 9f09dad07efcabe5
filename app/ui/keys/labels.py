"""Keys as a person writes them."""

from textual.keys import key_to_character

_NAMES = {"escape": "Esc", "pagedown": "PgDn", "pageup": "PgUp", "enter": "Enter", "space": "Space"}
_NAMES |= {
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "home": "Home",
    "end": "End",
    "tab": "Tab",
    "slash": "/",
    "backslash": "\\",
    "comma": ",",
    "full_stop": ".",
    "apostrophe": "'",
    "underscore": "_",
    "at": "@",
    "ampersand": "&",
    "minus": "-",
    "plus": "+",
}


def key_label(key: str) -> str:
    """A key as a person writes it: "ctrl+p" is "Ctrl+P", "question_mark" is "?"."""
    *modifiers, last = key.split("+")
    name = _NAMES.get(last)
    if name is None:
        character = key_to_character(last) or last
        name = character.upper() if modifiers or len(character) > 1 else character
    return "+".join([modifier.capitalize() for modifier in modifiers] + [name])
