"""`tidegate keys`: every action with the keys that do it, the user's own among them."""

import json
from typing import TYPE_CHECKING

from app.commands.options import Parser

if TYPE_CHECKING:
    from app.ui.keys.keymap import Keymap


def run(given: list[str]) -> int:
    """Print them. Raises KeymapError for a keymap that cannot be read."""
    options = parser().parse_args(given)
    from app.ui.keys.keymap import load_keymap  # noqa: PLC0415  brings Textual

    keymap = load_keymap()
    print(_as_json(keymap) if options.json else _as_text(keymap))
    return 0


def parser() -> Parser:
    """The options that it takes."""
    made = Parser(
        prog="tidegate keys",
        allow_abbrev=False,
        description="Every action by where it applies: its keys, what it does, and the name by which "
        "keymap.toml gives it other keys. A star marks keys that keymap.toml has set.",
    )
    made.add_argument(
        "--json", action="store_true", help="as a list of objects, keys by the names that keymap.toml knows"
    )
    return made


def _as_text(keymap: "Keymap") -> str:
    from app.ui.keys.actions import SCOPE_TITLES, in_scope  # noqa: PLC0415
    from app.ui.keys.keymap import keys_of  # noqa: PLC0415
    from app.ui.keys.labels import key_label  # noqa: PLC0415

    lines: list[str] = []
    for scope, title in SCOPE_TITLES.items():
        rows = [
            (
                " ".join(map(key_label, keys_of(action.id, keymap))) + (" *" if keymap.get(action.id) else ""),
                action.description,
                action.id,
            )
            for action in in_scope(scope)
        ]
        first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
        lines += ["", title, *(f"  {keys:<{first}}  {words:<{second}}  {name}" for keys, words, name in rows)]
    return "\n".join(lines[1:])


def _as_json(keymap: "Keymap") -> str:
    from app.ui.keys.actions import ACTIONS  # noqa: PLC0415
    from app.ui.keys.keymap import keys_of  # noqa: PLC0415

    listed = [
        {
            "name": action.id,
            "scope": action.scope,
            "keys": keys_of(action.id, keymap),
            "default_keys": action.keys,
            "description": action.description,
        }
        for action in ACTIONS
    ]
    return json.dumps(listed, indent=2, ensure_ascii=False)
