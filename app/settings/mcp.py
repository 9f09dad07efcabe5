"""MCP servers as the settings name them: a program to start, or an address to connect to."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


# By key: what its value must be, in words, and whether one is.
_KINDS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "command": ("a text in quotes", _is_text),
    "args": ("a list of texts", _are_texts),
    "env": ("a table of texts", _is_table),
    "url": ("a text in quotes", _is_text),
    "headers": ("a table of texts", _is_table),
    "tools": ("a list of texts", _are_texts),
    "timeout": ("a positive number of seconds", _is_positive),
}


@dataclass(frozen=True, slots=True)
class McpServer:
    """One server: `command` with `args` and, above the few variables that every server gets, `env`; or `url`,
    where it speaks streamable HTTP, with `headers` (a token goes there: there is no sign-in by OAuth).
    ${NAME} in env and headers stands for a variable of the user's environment. `tools` are patterns of the
    tools wanted, all of them where there is none. `timeout` is how many seconds a call may take."""

    name: str
    command: str = ""
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    tools: tuple[str, ...] = ()
    timeout: float = 120.0

    @property
    def place(self) -> str:
        """Where it is, for a person."""
        return self.url or " ".join((self.command, *self.args))

    def wants(self, tool: str) -> bool:
        """Whether the user wants this tool of the server's."""
        return not self.tools or any(fnmatchcase(tool, pattern) for pattern in self.tools)


def read_servers(table: object) -> tuple[McpServer, ...]:
    """The servers in the settings' table `mcp`. Raises ValueError with a clause for the user."""
    if not isinstance(table, dict) or not all(isinstance(entry, dict) for entry in table.values()):
        raise ValueError("mcp is not made of tables: begin each server with a line [mcp.NAME]")
    return tuple(_read(name, entry) for name, entry in table.items())


def _read(name: str, entry: Mapping[str, Any]) -> McpServer:
    where = f"[mcp.{name}]"
    if not _NAME.fullmatch(name):
        raise ValueError(f"{where} has a name that is none: at most 32 letters, digits, - and _")
    for key, value in entry.items():
        if key not in _KINDS:
            raise ValueError(f'{where} sets "{key}": a server has {", ".join(_KINDS)}')
        kind, is_right = _KINDS[key]
        if not is_right(value):
            raise ValueError(f"{where} sets {key} to {value!r}: it must be {kind}")
    if bool(entry.get("command")) == bool(entry.get("url")):
        raise ValueError(f"{where} needs either a command or a url")
    wrong = {"headers"} if entry.get("command") else {"args", "env"}
    if extra := sorted(wrong & set(entry)):
        partner = "a url" if "command" in entry else "a command"
        raise ValueError(f"{where} sets {extra[0]}, which goes with {partner}")
    if entry.get("url") and not str(entry["url"]).startswith(("http://", "https://")):
        raise ValueError(f"{where} sets url to {entry['url']!r}: it begins with http:// or https://")
    return McpServer(
        name,
        entry.get("command", ""),
        tuple(entry.get("args", ())),
        tuple(entry.get("env", {}).items()),
        entry.get("url", ""),
        tuple(entry.get("headers", {}).items()),
        tuple(entry.get("tools", ())),
        float(entry.get("timeout", 120.0)),
    )


def filled(values: tuple[tuple[str, str], ...], environment: Mapping[str, str]) -> dict[str, str]:
    """`values` with every ${NAME} replaced. Raises KeyError with the name of a variable that is not set."""
    return {name: _VARIABLE.sub(lambda found: environment[found[1]], value) for name, value in values}
