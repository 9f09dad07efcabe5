"""Jest, Vitest, Mocha and Node's own runner."""

import re
from collections.abc import Sequence

from app.testing.model import Failure, Report

_JEST = re.compile(r"^  ● (?P<name>.+ › .+|\S.*)$")
_VITEST = re.compile(r"^ *FAIL +(?P<path>\S+\.\w+) > (?P<name>.+)$")
_NODE = re.compile(r"^test at (?P<path>.+?):(?P<line>\d+):\d+$")
_NODE_NAME = re.compile(r"^\s*✖ (?P<name>.+?) \([\d.]+ms\)$")
_FRAME = re.compile(r"^\s*(?:at .*?\(?|❯ (?:\S+ )?)(?P<path>(?:file://)?[^\s():]+\.\w+):(?P<line>\d+):\d+\)?$")
_LIBRARY = re.compile(r"node_modules|^node:|\(internal|^internal/")
_COUNTS = re.compile(r"^\s*Tests:?\s+(?=.*\d+ (?:passed|failed))(?P<counts>.+)$")
_NODE_COUNT = re.compile(r"^(?:ℹ|#) (?P<kind>pass|fail) (?P<count>\d+)$")
_MOCHA_COUNT = re.compile(r"^  (?P<count>\d+) (?P<kind>passing|failing)(?: \(.*\))?$")
_COUNT = re.compile(r"(\d+) (passed|failed)")
_KINDS = {"pass": "passed", "fail": "failed", "passing": "passed", "failing": "failed"}


def parse(lines: Sequence[str]) -> Report:
    """The report of one of them; an empty one where none wrote these lines."""
    found: dict[str, Failure] = {}
    counts: dict[str, int] = {}
    current: str | None = None
    place = ("", 0)
    for line in lines:
        if match := _VITEST.match(line):
            current = match["name"]
            found.setdefault(current, Failure(current, match["path"], 0))
        elif (match := _JEST.match(line)) and not match["name"].startswith("Console"):
            current = match["name"]
            found.setdefault(current, Failure(current))
        elif match := _NODE.match(line):
            current, place = None, (match["path"], int(match["line"]))
        elif place[0] and (match := _NODE_NAME.match(line)):
            current = match["name"]
            found[current] = Failure(current, *place)
            place = ("", 0)
        elif match := _COUNTS.match(line):
            current = None
            for count, kind in _COUNT.findall(match["counts"]):
                counts[kind] = counts.get(kind, 0) + int(count)
        elif match := _NODE_COUNT.match(line) or _MOCHA_COUNT.match(line):
            kind = _KINDS[match["kind"]]
            counts[kind] = counts.get(kind, 0) + int(match["count"])
        elif current is not None:
            found[current] = _with(found[current], line)
    if not counts:
        return Report()
    return Report(tuple(found.values()), counts.get("passed", 0), counts.get("failed", 0))


def _with(failure: Failure, line: str) -> Failure:
    """`failure`, with what the next line below it tells: the first words said, the first frame that is the
    project's own."""
    match = _FRAME.match(line)
    if match is not None:
        is_own = not _LIBRARY.search(match["path"])
        if failure.line or not is_own:
            return failure
        return Failure(failure.name, match["path"], int(match["line"]), failure.message)
    if failure.message or not line.strip():
        return failure
    return Failure(failure.name, failure.path, failure.line, line.strip())
