"""Commands and skills that the user keeps as Markdown files, for all workspaces or for one.

A command is `commands/NAME.md`, a skill `skills/NAME/SKILL.md`, both in the configuration directory or in the
workspace's `.tidegate/`, which goes first. Either may begin with a block between `---` lines that gives it a
`description` (and a skill a `name`). `/NAME words` sends a command's text with `$ARGUMENTS` and `$1` to `$9`
replaced; words for which the text has no place are put behind it. Skills are used the same way, and the model
is told of them, to read one when it fits.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.paths import config_directory
from app.workspace.files.reading import read_document

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*\Z", re.IGNORECASE)
_CALL = re.compile(r"/(?P<name>\S+)(?:\s+(?P<words>.*))?\Z", re.DOTALL)
_PLACE = re.compile(r"\$(?:ARGUMENTS|[1-9])")
_FRONT = re.compile(r"---\n(?P<head>.*?)\n---(?:\n|\Z)", re.DOTALL)
_LONGEST_DESCRIPTION = 200
"""Characters: a line of the completion list, and of the prompt where it is a skill."""


@dataclass(frozen=True, slots=True)
class UserCommand:
    """`file` defines it; `text` is its message, with placeholders for the words that follow the command."""

    name: str
    description: str
    text: str
    file: Path
    is_skill: bool = False

    def fill(self, words: str) -> str:
        """The text with `words` in it."""
        try:
            parts = shlex.split(words)
        except ValueError:
            parts = words.split()

        def place(match: re.Match[str]) -> str:
            if match[0] == "$ARGUMENTS":
                return words
            number = int(match[0][1:])
            return parts[number - 1] if number <= len(parts) else ""

        text = _PLACE.sub(place, self.text)
        if words and not _PLACE.search(self.text):
            text = f"{text.rstrip()}\n\n{words}"
        if self.is_skill:
            text = f"Use the skill {self.name}; its files are in {self.file.parent}.\n\n{text}"
        return text


def skill_directories(root: Path) -> tuple[Path, ...]:
    """Where skills may be, the workspace's first."""
    return (root / ".tidegate" / "skills", config_directory() / "skills")


def find_user_commands(root: Path) -> dict[str, UserCommand]:
    """All commands and skills for the workspace at `root`, by name. What cannot be read is left out."""
    found: dict[str, UserCommand] = {}
    for place in (root / ".tidegate" / "commands", config_directory() / "commands"):
        for file in sorted(place.glob("*.md")):
            _add(found, file, file.stem, is_skill=False)
    for place in skill_directories(root):
        for file in sorted(place.glob("*/SKILL.md")):
            _add(found, file, file.parent.name, is_skill=True)
    return found


def _add(found: dict[str, UserCommand], file: Path, name: str, is_skill: bool) -> None:
    document = read_document(file, file.name)
    if document.text is None or not document.text.strip():
        return
    head, text = _parted(document.text.replace("\r\n", "\n"))
    name = head.get("name", name) if is_skill else name
    if _NAME.match(name) and name not in found:
        description = head.get("description", "") or next(iter(text.strip().splitlines()), "").lstrip("# ")
        found[name] = UserCommand(name, description[:_LONGEST_DESCRIPTION], text.strip(), file, is_skill)


def _parted(text: str) -> tuple[Mapping[str, str], str]:
    """The head's `key: value` lines, and what follows it."""
    front = _FRONT.match(text)
    if front is None:
        return {}, text
    pairs = (line.partition(":") for line in front["head"].splitlines() if ":" in line)
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}, text[front.end() :]


def expand(text: str, commands: Mapping[str, UserCommand]) -> str:
    """What is said by `text`: a command's text where it uses one, else `text` itself."""
    used = _CALL.match(text.strip())
    command = commands.get(used["name"]) if used else None
    return command.fill((used["words"] or "").strip()) if used and command else text


def skills_for_model(commands: Mapping[str, UserCommand]) -> str:
    """The skills as the model is told of them, "" without any."""
    lines = list(_skill_lines(commands))
    return (
        "\n".join(["Skills. When one fits the task, read its file first and follow it:", *lines])
        if lines
        else ""
    )


def _skill_lines(commands: Mapping[str, UserCommand]) -> Iterator[str]:
    for name, command in sorted(commands.items()):
        if command.is_skill:
            yield f"- {name}: {command.description} ({command.file})"
