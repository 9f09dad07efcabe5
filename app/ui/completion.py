"""What is being typed that could be completed, and with what. Pure: the files and commands are given."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

_COMMAND = re.compile(r"/([\w-]*)\Z")
_FILE = re.compile(r"(?:^|(?<=[\s(\[{\"']))@([^\s\"@:]*)\Z")


@dataclass(frozen=True, slots=True)
class Token:
    """The word before the cursor, from column `start`; `query` is that word without its / or @."""

    kind: Literal["command", "file"]
    start: int
    query: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """`text` replaces the token, `label` is shown in the list."""

    text: str
    label: str
    description: str = ""


def token_before(line: str, is_first_line: bool) -> Token | None:
    """The token that ends at the end of `line`, which is the text before the cursor."""
    command = _COMMAND.match(line) if is_first_line else None
    if command is not None:
        return Token("command", 0, command[1])
    file = _FILE.search(line)
    return Token("file", file.start(), file[1]) if file else None


def with_directories(files: Iterable[str]) -> list[str]:
    """The files and the directories they lie in, these with a slash behind them."""
    directories: set[str] = set()
    listed = list(files)
    for path in listed:
        parent = path.rpartition("/")[0]
        while parent and f"{parent}/" not in directories:
            directories.add(f"{parent}/")
            parent = parent.rpartition("/")[0]
    return [*listed, *directories]


def rank(query: str, names: Iterable[str], limit: int) -> list[str]:
    """The names that have the letters of `query` in that order, best first: a name that begins with it, one
    that has it whole, a path that has it whole, letters close together; and among equals the shorter."""
    wanted = query.casefold()
    if not wanted:
        return sorted(names, key=lambda name: (name.rstrip("/").count("/"), name.casefold()))[:limit]
    letters = re.compile(".*?".join(re.escape(letter) for letter in wanted), re.DOTALL)
    scored = []
    for name in names:
        folded = name.casefold()
        match = letters.search(folded)
        if match is None:
            continue
        base = folded.rstrip("/").rpartition("/")[2]
        if folded.startswith(wanted) or base.startswith(wanted):
            quality = 0
        elif wanted in base:
            quality = 1
        elif wanted in folded:
            quality = 2
        else:
            quality = 3 + match.end() - match.start()
        scored.append((quality, len(name), name))
    return [name for _quality, _length, name in sorted(scored)[:limit]]


def file_candidate(path: str) -> Candidate:
    """The mention of `path`. No space follows a directory, whose path is usually typed further."""
    written = f'@"{path}"' if re.search(r"\s", path) else f"@{path}"
    return Candidate(written if path.endswith("/") else f"{written} ", path)


def command_candidates(query: str, commands: Sequence[tuple[str, str]], limit: int) -> list[Candidate]:
    """Those of `commands`, as (name, description), that `query` may mean."""
    described = dict(commands)
    names = [name for name, _ in commands] if not query else rank(query, described, len(described))
    return [Candidate(f"/{name} ", f"/{name}", described[name]) for name in names[:limit]]
