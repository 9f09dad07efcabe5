"""Values of the Language Server Protocol, read with distrust: what is not as it should be is left out."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from app.language.model import SEVERITIES, Problem, Spot

_MOST_PROBLEMS = 1_000  # of a file
_LONGEST = 1_000  # characters of a message


def uri_of(file: Path) -> str:
    """The address of a file."""
    return f"file://{quote(str(file))}"


def file_of(uri: object) -> Path | None:
    """The file that an address is of, if it is a file's."""
    if not isinstance(uri, str) or not uri.startswith("file:"):
        return None
    return Path(os.path.normpath(unquote(urlsplit(uri).path)))


def problems_of(path: str, diagnostics: object, server: str) -> tuple[Problem, ...]:
    """The problems in the file `path` of a notification, by line."""
    found = diagnostics if isinstance(diagnostics, list) else []
    problems = [problem for one in found[:_MOST_PROBLEMS] for problem in _problem(path, one, server)]
    return tuple(sorted(problems, key=lambda problem: (problem.line, SEVERITIES.index(problem.severity))))


def _problem(path: str, given: Any, server: str) -> Iterator[Problem]:
    line = _line(given)
    if line is None:
        return
    number = given.get("severity")
    severity = SEVERITIES[number - 1] if isinstance(number, int) and 1 <= number <= 4 else "error"
    # Servers write advice and reasons below the first line.
    message = str(given.get("message", "")).strip().partition("\n")[0].strip()[:_LONGEST]
    code = given.get("code")
    yield Problem(
        path,
        line,
        severity,
        message,
        str(given.get("source") or server)[:60],
        str(code)[:60] if isinstance(code, str | int) else "",
    )


def _line(given: Any) -> int | None:
    """The line at which something with a range begins, counted from 1."""
    place = given.get("range") or given.get("targetSelectionRange") if isinstance(given, dict) else None
    start = place.get("start") if isinstance(place, dict) else None
    line = start.get("line") if isinstance(start, dict) else None
    return line + 1 if isinstance(line, int) and line >= 0 else None


def spots_of(result: object, root: Path) -> tuple[Spot, ...]:
    """The places in an answer: none, one, or a list of locations or links."""
    given = result if isinstance(result, list) else [result]
    spots = []
    for one in given:
        if not isinstance(one, dict):
            continue
        file, line = file_of(one.get("uri") or one.get("targetUri")), _line(one)
        if file is not None and line is not None:
            is_inside = file.is_relative_to(root)
            spots.append(Spot(file.relative_to(root).as_posix() if is_inside else str(file), line, is_inside))
    return tuple(dict.fromkeys(spots))
