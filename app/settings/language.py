"""Language servers in the settings: a user's own, and those of the table that start otherwise or not at all."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LanguageServerSetting:
    """The server `name` is started by `command`, empty to leave it out, for files whose names end in one of
    `suffixes`; for one of the table there need be none."""

    name: str
    command: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()


def read_language_servers(table: object) -> tuple[LanguageServerSetting, ...]:
    """The servers in the settings' table `language_servers`. Raises ValueError with a clause for the user."""
    if not isinstance(table, dict) or not all(isinstance(entry, dict) for entry in table.values()):
        raise ValueError("language_servers is not made of tables: begin each with [language_servers.NAME]")
    found = []
    for name, entry in table.items():
        for key, value in entry.items():
            if key not in ("command", "suffixes"):
                raise ValueError(f'[language_servers.{name}] sets "{key}": a server has command, suffixes')
            if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
                raise ValueError(
                    f"[language_servers.{name}] sets {key} to {value!r}: it must be a list of texts"
                )
        found.append(
            LanguageServerSetting(name, tuple(entry.get("command", ())), tuple(entry.get("suffixes", ())))
        )
    return tuple(found)
