"""The settings as a person reads them: what each is, and from when on a new value holds. Pure."""

from dataclasses import dataclass

from app.settings.settings import CHOICES, MINUTES, SWITCHES, Settings

AT_ONCE = frozenset(["theme", "bell", "notifications", "terminal_title", "vim_keys", "diff_tints"])
"""The settings that hold as soon as they are set; the others do from the next start."""
WORDS = {
    "model": "The model: a name, a folder or an address",
    "api_key": "The key for other people's servers",
    "mode": "How freely the agent works at the start",
    "theme": "The colours of the screen",
    "engine_idle_minutes": "Minutes that an engine nobody uses keeps its memory",
    "draft": "How replies are drafted; their words are the same",
    "adapter": "The adapter that our engine's replies are computed under",
    "exact_edits": "Hold what an edit replaces to what stands in the file",
    "reasoning_effort": "How much a reasoning model thinks before it answers",
    "reasoning_budget": "Tokens it may think for, 0 for any number",
    "report_problems": "Tell the agent once a turn what is newly wrong in its files",
    "needed_hunks_minutes": "Minutes for finding out which hunks the tests need",
    "takes": "How many other takes of a hunk are written at once, 2 to 4",
    "takes_temperature": "How freely they are written, above 0 to 2",
    "stay_awake": "Keep a Mac from sleeping while the agent works",
    "learn_from_review": "Make examples of what you decide, to train an adapter; they stay here",
    "local_servers": "Let confined commands use addresses of this machine (macOS)",
    "offline": "Refuse everything that opens a connection elsewhere",
    "bell": "Ring when the agent asks or is done and you look elsewhere",
    "notifications": "Show a notification then, where the terminal can",
    "terminal_title": "Say in the window's title how the agent stands",
    "vim_keys": "Vim's normal and insert mode in the message field",
    "diff_tints": "The colours of removed and added lines",
    "language_servers": "Language servers beside those that are known",
    "test_commands": "The commands that run projects' tests",
    "rules": "What the agent may do, and may not, without asking",
    "mcp": "Servers of the Model Context Protocol",
}


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting: its name, its value as it is written, and whether it can be changed in a line."""

    name: str
    value: str
    words: str
    is_simple: bool


def setting_rows(settings: Settings) -> list[SettingRow]:
    """Every setting, in the order of the page that explains them."""
    rows = []
    for name in Settings.__dataclass_fields__:
        value = getattr(settings, name)
        if isinstance(value, bool):
            shown = "true" if value else "false"
        elif isinstance(value, str):
            shown = f'"{value}"' if name != "api_key" or not value else "set"
        elif isinstance(value, float | int):
            shown = f"{value:g}"
        else:
            shown = f"{len(value)} in the file"
        rows.append(SettingRow(name, shown, WORDS[name], isinstance(value, str | bool | float | int)))
    return rows


def next_value(name: str, settings: Settings) -> str | bool | None:
    """What comes after the present value of a switch or a choice; None for a setting that is written."""
    value = getattr(settings, name)
    if name in SWITCHES:
        return not value
    if name in CHOICES:
        choices = CHOICES[name]
        return str(choices[(choices.index(value) + 1) % len(choices)])
    return None


def read_value(name: str, written: str) -> str | float:
    """What a person wrote for the setting `name`; whether it is allowed is checked elsewhere."""
    if name in (*MINUTES, "reasoning_budget", "takes", "takes_temperature"):
        try:
            number = float(written)
        except ValueError:
            return written
        return int(number) if number.is_integer() else number
    return written
