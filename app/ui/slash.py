"""What can be typed behind a slash: one table for completion, help and whoever carries it out."""

import re
from dataclasses import dataclass
from typing import get_args

from app.settings.settings import Effort

_COMMAND = re.compile(r"/(?P<name>[a-zA-Z][\w-]*)(?:\s+(?P<words>.*))?\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """`words` names what may follow, in brackets where it may be left out; `waits` says that it cannot be done
    while the agent works; `action` is the one of the table that does the same without words."""

    name: str
    words: str
    description: str
    waits: bool = False
    action: str = ""


SLASH_COMMANDS: tuple[SlashCommand, ...] = (
    SlashCommand("help", "", "List these commands"),
    SlashCommand("new", "", "Begin a new session; the old one is kept", waits=True),
    SlashCommand("clear", "", "The same as /new", waits=True),
    SlashCommand(
        "resume", "[WORDS]", "Go on with an earlier session, found by its words", True, "workspace.sessions"
    ),
    SlashCommand("fork", "", "Go on in a copy of this session", waits=True),
    SlashCommand("rename", "TITLE", "Give this session a title"),
    SlashCommand("export", "[FILE]", "Write this session to a file, as Markdown"),
    SlashCommand("mode", "[plan|ask|auto]", "How freely the agent works", action="workspace.mode"),
    SlashCommand("effort", f"[{'|'.join(get_args(Effort))}]", "How much a reasoning model thinks"),
    SlashCommand("model", "", "What runs, what fits this machine, and how to get it", action="workspace.model"),
    SlashCommand("adapter", "[NAME|none|aside]", "Our engine's adapter; aside puts the review's away"),
    SlashCommand("context", "", "What takes up the model's context"),
    SlashCommand("mcp", "", "The MCP servers, whether they are there, and their tools"),
    SlashCommand("compact", "", "Make room: let a summary stand for the older part", waits=True),
    SlashCommand("diff", "", "Review what was changed", action="workspace.review"),
    SlashCommand("rewind", "", "Go back to before a turn, or forward again", True, "workspace.rewind"),
    SlashCommand("commit", "", "Commit what was kept in the review", True, "review.commit"),
    SlashCommand("test", "", "Run the project's tests", action="workspace.run_tests"),
    SlashCommand("settings", "", "See the settings, and change them", action="app.settings"),
    SlashCommand("theme", "", "Choose a theme", action="app.theme"),
    SlashCommand("keys", "", "See the keys, and change them", action="app.keys"),
    SlashCommand("init", "", "Have AGENTS.md written for this project"),
)
BY_NAME = {command.name: command for command in SLASH_COMMANDS}

INIT_PROMPT = """\
Write AGENTS.md at the root of this project, or bring the one that is there up to date: what someone needs to \
know who is to work on it. Look at the code first. Say how it is built, tested, checked and run (with the \
exact commands, and how to run a single test), how it is laid out, and which conventions it follows that one \
would not guess. Leave out what can be read off the directory listing, and anything generic. Keep it under 60 \
lines.\
"""


def parse(text: str) -> tuple[str, str] | None:
    """The name and the words behind it, where `text` is a command and not a path or prose."""
    match = _COMMAND.match(text.strip())
    return (match["name"], (match["words"] or "").strip()) if match else None
