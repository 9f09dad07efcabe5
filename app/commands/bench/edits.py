"""tidegate bench edits: do edits land where they belong, though models misquote?

True edits are taken from a repository's history, perturbed, and made by the edit tool itself on files in a
temporary folder. What counts is the bytes on disk then.
"""

import argparse
import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.agent.editing.corpus import PERTURBATIONS, Attempt, TrueEdit, attempts, hunks
from app.agent.errors import ToolFailure
from app.agent.shell.jobs import Jobs
from app.agent.tools.base import ToolContext
from app.agent.tools.edit import Edit, EditArguments
from app.agent.tools.files import Files
from app.errors import TidegateError
from app.git.errors import GitError
from app.git.git import Git
from app.review.unrecorded import Unrecorded
from app.workspace.files.text import decode
from app.workspace.workspace import Workspace

Outcome = Literal["right", "helped", "refused", "wrong"]
_TITLES: dict[Outcome, str] = {
    "right": "landed right",
    "helped": "refused with help",
    "refused": "refused",
    "wrong": "landed wrong",
}
_HELP = ("nearest text is at lines", "occurs", "already there")
_MAX_BYTES = 200_000
"""Bytes of a file whose history is read: larger ones are generated rather than edited."""
_MAX_HUNKS = 4  # of one file in one commit
_FILE = "file.txt"


class NoCorpus(TidegateError):
    """The repository's history has no edits to offer."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """An attempt that landed wrong."""

    perturbation: str
    attempt: Attempt
    found: str


@dataclass(frozen=True, slots=True)
class Report:
    """How many attempts came to what, by perturbation and outcome; `edits` is the number of true edits."""

    edits: int
    counts: Counter[tuple[str, Outcome]]
    wrong: tuple[Wrong, ...]

    def table(self) -> str:
        """For a person to read."""
        head = f"{'perturbation':<16}" + "".join(f"{title:>19}" for title in _TITLES.values())
        rows = [
            f"{name:<16}" + "".join(f"{self.counts[name, outcome]:>19,}" for outcome in _TITLES)
            for name in PERTURBATIONS
        ]
        total = "".join(
            f"{sum(self.counts[name, outcome] for name in PERTURBATIONS):>19,}" for outcome in _TITLES
        )
        return "\n".join([f"{self.edits:,} true edits", "", head, *rows, f"{'together':<16}{total}"])


def true_edits(repository: Path, count: int) -> list[TrueEdit]:
    """At most `count` edits from the history of `repository`, the newest first. Raises NoCorpus."""
    found: list[TrueEdit] = []
    seen: set[tuple[str, str, str]] = set()
    for before, after in _versions(repository):
        for number, edit in enumerate(hunks(before, after)):
            key = (edit.old, edit.new, edit.before[:200])
            if number < _MAX_HUNKS and key not in seen:
                seen.add(key)
                found.append(edit)
            if len(found) == count:
                return found
    if not found:
        raise NoCorpus(f"the history of {repository} changes no text file", "name a repository with commits")
    return found


def _versions(repository: Path) -> Iterator[tuple[str, str]]:
    """Text files before and after each commit that changed them."""
    line = ["log", "--no-merges", "--no-renames", "--diff-filter=M", "--raw", "--no-abbrev", "-z", "--format="]
    fields = _git(repository, *line).split(b"\0")
    for field in fields:
        # :100644 100644 BEFORE AFTER M, and the path in a field of its own
        parts = field.strip().split(b" ")
        if len(parts) == 5 and parts[0].startswith(b":100") and parts[1].startswith(b"100"):
            before, after = (_git(repository, "cat-file", "blob", name.decode()) for name in parts[2:4])
            texts = [decode(data) for data in (before, after) if len(data) <= _MAX_BYTES]
            if len(texts) == 2 and texts[0] is not None and texts[1] is not None:
                yield texts[0].normal, texts[1].normal


def _git(repository: Path, *arguments: str) -> bytes:
    try:
        return Git(repository).run(*arguments)
    except (OSError, GitError) as error:
        raise NoCorpus(f"{repository} has no history that git can read", "name a git repository") from error


def measure(edits: list[TrueEdit], seed: int = 0) -> Report:
    """Make every attempt on a file of its own text."""
    counts: Counter[tuple[str, Outcome]] = Counter()
    wrong: list[Wrong] = []
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        workspace = Workspace(root)
        for edit in edits:
            for perturbation, attempt in attempts(edit, chance):
                outcome, found = asyncio.run(_try(attempt, workspace, root))
                counts[perturbation, outcome] += 1
                if outcome == "wrong":
                    wrong.append(Wrong(perturbation, attempt, found))
    return Report(len(edits), counts, tuple(wrong))


async def _try(attempt: Attempt, workspace: Workspace, root: Path) -> tuple[Outcome, str]:
    file = root / _FILE
    file.write_bytes(attempt.text.encode())

    async def nowhere(_text: str) -> None:
        """The tool prints nothing."""

    context = ToolContext(workspace, Files(Unrecorded()), Jobs(root), nowhere)
    arguments = EditArguments(file_path=_FILE, old_string=attempt.old, new_string=attempt.new)
    refusal = ""
    try:
        await Edit().run(arguments, context)
    except ToolFailure as error:
        refusal = str(error)
    found = file.read_bytes().decode()
    if refusal:
        helped: Outcome = "helped" if any(words in refusal for words in _HELP) else "refused"
        return ("wrong" if found != attempt.text else helped), found
    return ("right" if found == attempt.expected else "wrong"), found


def run(given: list[str]) -> int:
    """The command. Returns 0, or 1 when an edit landed wrong."""
    parser = argparse.ArgumentParser(
        prog="tidegate bench edits",
        description="Perturb true edits from a repository's history as models err, and see where they land.",
    )
    parser.add_argument("repository", metavar="REPOSITORY", help="a git repository with a history")
    parser.add_argument("--count", type=int, default=500, help="how many true edits (default: 500)")
    parser.add_argument("--show", action="store_true", help="print what landed wrong")
    options = parser.parse_args(given)
    edits = true_edits(Path(options.repository), max(1, options.count))
    report = measure(edits)
    print(report.table())
    for wrong in report.wrong if options.show else ():
        print(f"\n=== {wrong.perturbation}\n--- old\n{wrong.attempt.old}\n--- new\n{wrong.attempt.new}")
    return 1 if report.wrong else 0
