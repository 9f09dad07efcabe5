"""Settings: a TOML file in the configuration directory, and the environment above it."""

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from app import durable
from app.errors import TidegateError
from app.paths import config_directory
from app.settings.language import LanguageServerSetting, read_language_servers
from app.settings.mcp import McpServer, read_servers
from app.settings.places import place

Mode = Literal["plan", "ask", "auto"]
"""What the agent may do: only read; change files and run commands when the user says so; both by itself."""
DraftMode = Literal["none", "lookup", "mtp", "dflash", "auto"]
"""Where our engine's drafts come from; they make replies faster, never different."""
Effort = Literal["default", "off", "low", "medium", "high"]
"""How much a reasoning model thinks before it answers; default: as the model and its server have it."""
DiffTints = Literal["red-green", "blue-orange"]
"""Of removed and added lines; blue and orange are told apart by those who see red and green alike."""
RuleDecision = Literal["allow", "ask", "deny"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What is to become of the agent's calls that it describes: of `tool` ("" is every one), at `path` (a
    pattern as in .gitignore, from the workspace on; with / or ~ in front a directory anywhere), of commands
    that begin with the words of `command`. deny goes before ask, ask before allow. allow does not reach what
    always asks: what is destructive or leaves the workspace. Where there is a sandbox, a command that runs
    unasked cannot reach what is denied or asked about at a path by another name either."""

    decision: RuleDecision
    tool: str = ""
    path: str = ""
    command: str = ""


class BadSettings(TidegateError):
    """The settings file cannot be read or holds something that is no setting."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user may set in settings.toml.

    `model` is what --model takes; TIDEGATE_MODEL goes before it. `api_key` is sent to servers other than our
    own engine; TIDEGATE_API_KEY goes before it. `mode` is the agent's permission mode at the start.
    `engine_idle_minutes` is how long an engine that nobody uses keeps its memory. `draft` is how our own engine
    drafts replies: "auto" is whatever its checkpoint has and pays. `adapter` is the one of our own engine's
    adapters that replies are computed under, by its name: "none" is the model alone, "" what the engine was
    started with. `exact_edits` has it hold what the agent replaces in a file to what stands there.
    `reasoning_effort` is how much a reasoning model thinks, where its template or server knows how; after
    `reasoning_budget` tokens (0: none) the thought is ended, where the server can do that. `stay_awake` keeps a
    Mac from sleeping while the agent works.
    `learn_from_review` makes examples for training an adapter of what the user decides in the review; they stay
    on this machine. `local_servers` lets confined commands serve and reach addresses of this machine, where the
    sandbox has none of its own. `report_problems` tells the agent, at the end of its turn, what language
    servers newly find in the files it changed; these servers are tables, each begun by
    [language_servers.NAME]. `test_commands` are commands that run a project's tests, by the folder;
    `needed_hunks_minutes` is how long they are run to find out which hunks they need. `rules` are tables, each
    begun by [[rules]].
    `offline` refuses what else opens a connection when the user asks for it: fetching models and servers over
    the network; TIDEGATE_OFFLINE=1 says so too. `bell` and `notifications` call the user when the agent asks
    or is done while the terminal is not focused; `terminal_title` says in the window's title how it stands.
    `takes` is how many other takes of a hunk are written at once, and `takes_temperature` how freely.
    `vim_keys` gives the message field Vim's modes. `diff_tints` are the colours of what was removed and added.
    `mcp` are servers of the Model Context Protocol, each a table begun by [mcp.NAME].
    """

    model: str = ""
    api_key: str = ""
    mode: Mode = "ask"
    theme: str = ""
    engine_idle_minutes: float = 15.0
    draft: DraftMode = "auto"
    adapter: str = ""
    exact_edits: bool = True
    reasoning_effort: Effort = "default"
    reasoning_budget: int = 0
    stay_awake: bool = True
    learn_from_review: bool = False
    local_servers: bool = False
    offline: bool = False
    bell: bool = True
    notifications: bool = True
    terminal_title: bool = True
    vim_keys: bool = False
    diff_tints: DiffTints = "red-green"
    report_problems: bool = True
    needed_hunks_minutes: float = 5.0
    takes: int = 3
    takes_temperature: float = 1.0
    language_servers: tuple[LanguageServerSetting, ...] = ()
    test_commands: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    mcp: tuple[McpServer, ...] = ()


FEWEST_TAKES, MOST_TAKES = 2, 4
_TRUE = ("1", "true", "yes", "on")
CHOICES = {
    "mode": get_args(Mode),
    "draft": get_args(DraftMode),
    "reasoning_effort": get_args(Effort),
    "diff_tints": get_args(DiffTints),
}
"""The settings that are one of a few words, and those words."""
MINUTES = ("engine_idle_minutes", "needed_hunks_minutes")
"""The settings that are a number of minutes."""
SWITCHES = frozenset(
    name for name, one in Settings.__dataclass_fields__.items() if isinstance(one.default, bool)
)
"""The settings that are true or false."""


def settings_file() -> Path:
    """Where the settings are read from; it need not exist."""
    return config_directory() / "settings.toml"


def load_settings() -> Settings:
    """The settings. Raises BadSettings with one sentence that names the file, the line and the fault."""
    file = settings_file()
    values: dict[str, Any]
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        text, values = "", {}
    except OSError as error:
        raise BadSettings(f"{file} cannot be read ({error.strerror})", "mend or remove it") from None
    except UnicodeDecodeError:
        raise BadSettings(f"{file} is not UTF-8 text", "mend or remove it") from None
    else:
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise BadSettings(f"{file} is not TOML: {error}", "mend or remove it") from None
    for name, value in values.items():
        _check(file, text, name, value)
    if os.environ.get("TIDEGATE_OFFLINE", "").lower() in _TRUE:
        values["offline"] = True
    for name, variable in (("model", "TIDEGATE_MODEL"), ("api_key", "TIDEGATE_API_KEY")):
        if os.environ.get(variable):
            values[name] = os.environ[variable]
    values["rules"] = tuple(Rule(**rule) for rule in values.get("rules", ()))
    try:
        values["mcp"] = read_servers(values.get("mcp", {}))
        values["language_servers"] = read_language_servers(values.get("language_servers", {}))
    except ValueError as error:
        raise BadSettings(f"{place(file, text, 'mcp')}: {error}", "mend or remove it") from None
    return Settings(**values)


def check(name: str, value: object) -> None:
    """Raises BadSettings where the setting `name` cannot be `value`."""
    _check(settings_file(), "", name, value)


def remember(name: str, value: str | bool | float) -> None:
    """Write the setting `name` into the settings file, leaving everything else in it as the user wrote it.

    Raises BadSettings when it cannot be written.
    """

    def put(document: dict[str, Any]) -> None:
        document[name] = value

    _change(put)


def remember_rules(rules: Sequence[Rule]) -> None:
    """Add rules to the settings file, leaving everything else in it as the user wrote it.

    Raises BadSettings when it cannot be written.
    """
    import tomlkit  # noqa: PLC0415  rarely needed, and start-up has no time for it

    def put(document: dict[str, Any]) -> None:
        tables = document.setdefault("rules", tomlkit.aot())
        for rule in rules:
            values = {name: value for name, value in asdict(rule).items() if value}
            # Written as `rules = [{…}]`, it is no array of tables.
            tables.append(values if isinstance(tables, tomlkit.items.Array) else tomlkit.item(values))

    _change(put)


def remember_test_command(folder: Path, line: str) -> None:
    """Let `line` run the tests of the project in `folder`; "" is to find the command again. Leaves everything
    else in the settings file as the user wrote it.

    Raises BadSettings when it cannot be written.
    """
    import tomlkit  # noqa: PLC0415  rarely needed, and start-up has no time for it

    def put(document: dict[str, Any]) -> None:
        table = document.setdefault("test_commands", tomlkit.table())
        table.pop(str(folder), None)
        if line:
            table[str(folder)] = line

    _change(put)


def _change(put: Callable[[dict[str, Any]], None]) -> None:
    import tomlkit  # noqa: PLC0415  rarely needed, and start-up has no time for it

    file = settings_file().resolve()  # it may be a link to where a user keeps such files
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        document = tomlkit.parse(file.read_text(encoding="utf-8")) if file.exists() else tomlkit.document()
        put(document)
        # Private, because it may hold an api_key.
        durable.replace_file(file, (tomlkit.dumps(document).encode(),), durable.PRIVATE)
    except OSError as error:
        raise BadSettings(
            f"{file} cannot be written ({error.strerror})", "see who owns it, and that there is room"
        ) from None
    except ValueError:
        raise BadSettings(f"{file} is not TOML any more", "mend or remove it") from None


def _check(file: Path, text: str, name: str, value: object) -> None:
    at = place(file, text, name)
    known = Settings.__dataclass_fields__
    if name not in known:
        raise BadSettings(f'{at} sets "{name}", which is no setting', f"known are {', '.join(sorted(known))}")
    if name == "rules":
        _check_rules(file, text, value)
        return
    if name in ("mcp", "language_servers"):
        return  # read_servers and read_language_servers check them
    if name == "test_commands":
        if not isinstance(value, dict) or not all(isinstance(line, str) for line in value.values()):
            raise BadSettings(f"{at} sets {name} to {value!r}", 'write lines such as "~/project" = "make test"')
        return
    expected = "a positive number" if name in MINUTES else "a text in quotes"
    right = isinstance(value, str)
    if name in MINUTES:
        right = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
    elif name == "reasoning_budget":
        expected = "a whole number of tokens, 0 for none"
        right = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    elif name == "takes":
        expected = f"a whole number from {FEWEST_TAKES} to {MOST_TAKES}"
        right = isinstance(value, int) and not isinstance(value, bool) and FEWEST_TAKES <= value <= MOST_TAKES
    elif name == "takes_temperature":
        expected = "a number above 0 and at most 2"
        right = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 2
    elif name in SWITCHES:
        expected = "true or false"
        right = isinstance(value, bool)
    elif name in CHOICES:
        expected = "one of " + ", ".join(f'"{choice}"' for choice in CHOICES[name])
        right = value in CHOICES[name]
    if not right:
        raise BadSettings(f"{at} sets {name} to {value!r}", f"it must be {expected}")


def _check_rules(file: Path, text: str, value: object) -> None:
    known = ", ".join(Rule.__dataclass_fields__)
    if not isinstance(value, list) or not all(isinstance(rule, dict) for rule in value):
        raise BadSettings(
            f"{place(file, text, 'rules')} sets rules to something else than tables",
            "begin each with a line [[rules]]",
        )
    for number, rule in enumerate(value, 1):
        at = place(file, text, "rules", number)
        for name, said in rule.items():
            if name not in Rule.__dataclass_fields__:
                raise BadSettings(f'{at}: rule {number} sets "{name}"', f"a rule has {known}")
            if not isinstance(said, str):
                raise BadSettings(f"{at}: rule {number} sets {name} to {said!r}", "write a text in quotes")
        if rule.get("decision") not in get_args(RuleDecision):
            raise BadSettings(f"{at}: rule {number} has no decision", 'write "allow", "ask" or "deny"')
