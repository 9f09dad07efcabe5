"""The page of keys, written from the tables that the application reads.

Run as `python -m tests.support.programs.keys_page > .github/docs/keys.md`.
"""

from app.ui.keys.actions import SCOPE_TITLES, in_scope
from app.ui.keys.labels import key_label
from app.ui.slash import SLASH_COMMANDS

HEAD = """\
# Keys and commands

Written from the table of actions by `python -m tests.support.programs.keys_page`; a test keeps it current. \
`F1` shows the same with your own keys. `keymap.toml` in the configuration folder (`tidegate doctor` says \
where) replaces any of them by its name:

```toml
[keys]
"review.keep" = "y"
"lines.down" = ["j", "down"]
```

`tidegate keys` prints them as they are for you, `--json` for programs. \
`tidegate doctor keys` shows what your terminal sends for a key, and what that key does in each pane. No \
action needs Option: on a Mac it may stay what types characters such as ø and ƒ, or be Meta. A key of your own \
such as `"alt+f"` holds in both cases, except in the message, where Option+F is text, and except Option with \
E, I, N or U, which wait for a second key. Where text is written, Option with ← → moves and with Backspace \
deletes by words.
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    for scope, title in SCOPE_TITLES.items():
        rows = [
            f"| {' '.join(_code(key_label(key)) for key in action.keys)} | {_cell(action.description)} "
            f"| `{action.id}` |\n"
            for action in in_scope(scope)
        ]
        parts.append(f"## {title}\n\n| key | does | name |\n| --- | --- | --- |\n{''.join(rows)}")
    rows = [
        f"| {_code(f'/{command.name} {command.words}'.strip())} | {_cell(command.description)} |\n"
        for command in SLASH_COMMANDS
    ]
    parts.append(f"## Behind a slash, in the message\n\n| command | does |\n| --- | --- |\n{''.join(rows)}")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _code(text: str) -> str:
    return f"`{_cell(text)}`"


if __name__ == "__main__":
    print(page(), end="")
