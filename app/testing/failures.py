"""From what a test command printed to a list of failures in the workspace's files."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from app.testing.formats import cargo, go, javascript, pytest, unittest
from app.testing.model import Failure, Report
from app.workspace.places import file_named, places_in

_FORMATS = (pytest.parse, unittest.parse, javascript.parse, go.parse, cargo.parse)
_MOST = 1_000  # failures in the list
_MOST_PLACES = 50  # that are offered where no runner is known
_BAD_WORDS = re.compile(r"error|fail|panic|assert|expected|undefined|cannot|not found|✗|✖", re.IGNORECASE)
_MODULE = re.compile(r"^module\s+(\S+)", re.MULTILINE)


def report_of(output: str, root: Path, *, failed: bool) -> Report:
    """What the runners whose output this is report, with paths relative to `root` where there is such a file.
    Of a command that `failed` in words nobody knows, the places that it complains of. Blocks on the disk."""
    lines = output.split("\n")
    report = Report()
    for parse in _FORMATS:
        report += parse(lines)
    if failed and not report.failures:
        report = replace(report, failures=_complaints(lines))
    module = _go_module(root)
    unique = dict.fromkeys(_found(failure, root, module) for failure in report.failures[:_MOST])
    return replace(report, failures=tuple(unique))


def _complaints(lines: Sequence[str]) -> tuple[Failure, ...]:
    """Lines that name a place and something bad."""
    found: dict[tuple[str, int], Failure] = {}
    for line in lines:
        if not _BAD_WORDS.search(line):
            continue
        for place in places_in(line):
            message = line[place.end :].strip(" :-") or line.strip()
            found.setdefault((place.path, place.line), Failure("", place.path, place.line, message[:500]))
        if len(found) >= _MOST_PLACES:
            break
    return tuple(found.values())


def _found(failure: Failure, root: Path, module: str) -> Failure:
    if not failure.path:
        return failure
    package = failure.package.removeprefix(module).lstrip("/") if module else ""
    path = file_named(failure.path.removeprefix("file://"), root, root / package if package else None)
    # A file that is not the workspace's cannot be opened, but is worth reading.
    return replace(failure, path=path or failure.path, line=failure.line if path else 0, package="")


def _go_module(root: Path) -> str:
    try:
        match = _MODULE.search((root / "go.mod").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
    return match[1] if match else ""
