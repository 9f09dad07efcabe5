"""The user's own keys: `keymap.toml` in the configuration directory.

[keys]
"review.keep" = "y"
"lines.down" = ["j", "down"]
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from textual.keys import _character_to_key, key_to_character

from app import durable
from app.errors import TidegateError
from app.paths import config_directory
from app.ui.keys.actions import ACTIONS, BY_ID, Scope
from app.ui.keys.option_key import sent_by_option

Keymap = Mapping[str, tuple[str, ...]]


class KeymapError(TidegateError):
    """The keymap file is unreadable or holds no valid keys."""


def keymap_path() -> Path:
    """Where the user's keys are."""
    return config_directory() / "keymap.toml"


def load_keymap(path: Path | None = None, platform: str = sys.platform) -> Keymap:
    """Action ids and the keys that replace theirs; empty without a file. On macOS a key with Option is taken in
    both forms in which terminals send it. Raises KeymapError."""
    path = path or keymap_path()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise KeymapError(f"{path} cannot be read ({error})", "mend or remove it") from error
    import tomlkit  # noqa: PLC0415  few have such a file
    from tomlkit.exceptions import ParseError  # noqa: PLC0415

    try:
        keys = tomlkit.parse(text).unwrap().get("keys", {})
    except ParseError as error:
        raise KeymapError(f"{path} is not TOML ({error})", "mend that line") from error
    if not isinstance(keys, dict):
        raise KeymapError(
            f"{path}: 'keys' must be a table", 'write [keys] and lines such as "review.keep" = "y"'
        )
    keymap = {name: _keys(path, name, value) for name, value in keys.items()}
    if platform != "darwin":
        return keymap
    return {name: (*keys, *_characters(name, keys)) for name, keys in keymap.items()}


def _keys(path: Path, name: str, value: object) -> tuple[str, ...]:
    if name not in BY_ID:
        raise KeymapError(f"{path}: no action is called {name!r}", "the help (F1) lists their names")
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not listed or not all(isinstance(key, str) and key for key in listed):
        raise KeymapError(
            f"{path}: the keys of {name!r} must be a string or a list of strings", "mend that line"
        )
    return tuple(map(_key_named, listed))


def _key_named(written: str) -> str:
    """Textual's name of a key, whose character may stand for it: "ctrl++" is "ctrl+plus"."""
    modifiers, _, key = written.rpartition("+")
    if not key:
        modifiers, key = modifiers.removesuffix("+"), "+"
    name = _character_to_key(key) if len(key) == 1 else key
    return f"{modifiers}+{name}" if modifiers else name


def _characters(name: str, keys: Iterable[str]) -> Iterator[str]:
    """What Option types in place of `keys`, where the action `name` is not one that goes before typing."""
    if not BY_ID[name].priority and BY_ID[name].scope != "prompt":
        yield from filter(None, map(sent_by_option, keys))


def write_keys(changes: Keymap) -> None:
    """Write keys of actions into the keymap file, leaving everything else in it as the user wrote it; an action
    with no keys gets those of the table again. Raises KeymapError."""
    import tomlkit  # noqa: PLC0415
    from tomlkit.exceptions import ParseError  # noqa: PLC0415

    path = keymap_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
        keys = document.setdefault("keys", tomlkit.table())
        for name, chosen in changes.items():
            if not chosen:
                keys.pop(name, None)
            else:
                keys[name] = chosen[0] if len(chosen) == 1 else list(chosen)
        durable.replace_file(path, (tomlkit.dumps(document).encode(),), durable.PRIVATE)
    except (OSError, UnicodeDecodeError, ParseError) as error:
        raise KeymapError(f"{path} cannot be written ({error})", "mend it, or see who owns it") from error


# Where two actions' keys meet: what a scope is inside of.
_AROUND: Mapping[Scope, tuple[Scope, ...]] = {
    **dict.fromkeys(("tree", "viewer", "review", "transcript", "prompt", "permission"), ("workspace", "app")),
    "workspace": ("app",),
}
_IN_LINES: tuple[Scope, ...] = ("viewer", "review", "transcript")


def clashing(action_id: str, key: str, keymap: Keymap) -> list[str]:
    """The other actions that `key` does where it does this one. A key that types text is nobody else's in the
    message, so that actions around it are left out there."""
    scope = BY_ID[action_id].scope
    around = (*_AROUND.get(scope, ()), *(("lines",) if scope in _IN_LINES else ()))
    inside = [one for one, outer in _AROUND.items() if scope in outer]
    inside += list(_IN_LINES) if scope == "lines" else []
    met = {scope, *around, *inside}
    if len(key) == 1 or key_to_character(key) is not None:
        met -= {"prompt"} if scope != "prompt" else {"workspace", "app"}
    return [
        action.id
        for action in ACTIONS
        if action.id != action_id and action.scope in met and key in keys_of(action.id, keymap)
    ]


def keys_of(action_id: str, keymap: Keymap) -> tuple[str, ...]:
    """The keys that do `action_id` under `keymap`."""
    return keymap.get(action_id) or BY_ID[action_id].keys


def clashes(keymap: Keymap) -> list[str]:
    """A sentence for each key that `keymap` gives to two actions of one scope."""
    taken: dict[tuple[str, str], str] = {}
    sentences = []
    for action in ACTIONS:
        for key in keys_of(action.id, keymap):
            other = taken.setdefault((action.scope, key), action.id)
            if other != action.id:
                sentences.append(
                    f"Key {key} is given to both {other} and {action.id}; the keymap decides neither"
                )
    return sentences
