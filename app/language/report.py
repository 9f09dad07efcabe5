"""What the agent is told, once a turn, of the problems that its changes brought."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from app.language.model import Problem
from app.language.servers import LanguageServers, new_problems
from app.workspace.workspace import Workspace

_SECONDS = 5.0  # that all servers have for one file, before and after
_ALL_SECONDS = 20.0  # for all files
_MOST_FILES = 20
_MOST_TOLD = 20  # problems
_SERIOUS = ("error", "warning")


async def new_problems_report(
    workspace: Workspace, servers: LanguageServers, before: Mapping[str, bytes | None]
) -> str:
    """The errors and warnings in the files `before` names that were not there before, a line each; "" if there
    are none. `before` has what each file held, None where there was none. A server that is not there or does
    not answer in time is not waited for."""
    found: list[Problem] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(_ALL_SECONDS):
            for path, was in list(before.items())[:_MOST_FILES]:
                now = await asyncio.to_thread(_text, workspace.root / path)
                if now is None:
                    continue
                old = (
                    await servers.judge(path, was.decode("utf-8", "replace"), _SECONDS)
                    if was is not None
                    else []
                )
                new = await servers.judge(path, now, _SECONDS)
                found += [problem for problem in new_problems(old, new) if problem.severity in _SERIOUS]
    if not found:
        return ""
    lines = [_told(problem) for problem in found[:_MOST_TOLD]]
    more = [f"({len(found) - _MOST_TOLD} more)"] if len(found) > _MOST_TOLD else []
    head = "The language servers find in the files you changed what they did not find before:"
    return "\n".join([head, *lines, *more, "Mend what is yours to mend; this is not said again."])


def _text(file: Path) -> str | None:
    try:
        return file.read_bytes().decode("utf-8", "replace")
    except OSError:
        return None


def _told(problem: Problem) -> str:
    source = " ".join(filter(None, (problem.source, problem.code)))
    return f"{problem.path}:{problem.line}: {problem.severity}: {problem.message} ({source})"
