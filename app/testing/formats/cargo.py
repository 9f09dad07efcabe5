"""cargo test: what each failed test printed, counts by binary; rustc's errors where it did not build."""

import re
from collections.abc import Sequence

from app.testing.model import Failure, Report

_SECTION = re.compile(r"^---- (?P<name>\S+) std(?:out|err) ----$")
_PANIC = re.compile(r"panicked at (?P<path>[^\s:']+\.rs):(?P<line>\d+):\d+:?$")
_OLD_PANIC = re.compile(r"panicked at '(?P<message>.*)', (?P<path>[^\s:]+\.rs):(?P<line>\d+):\d+$")
_RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed;")
_ERROR = re.compile(r"^error(?:\[E\d+\])?: (?P<message>.+)$")
_ARROW = re.compile(r"^\s*--> (?P<path>[^\s:]+\.rs):(?P<line>\d+):\d+$")


def parse(lines: Sequence[str]) -> Report:
    """The report of cargo test; an empty one where it is not what wrote these lines."""
    found: dict[str, Failure] = {}
    built: list[Failure] = []
    passed = failed = None
    current = error = ""
    awaits_message = False
    for line in lines:
        if match := _SECTION.match(line):
            current = match["name"]
            found[current] = Failure(current)
        elif match := _RESULT.match(line):
            passed, failed = (passed or 0) + int(match[1]), (failed or 0) + int(match[2])
            current = ""
        elif match := _ERROR.match(line):
            error = match["message"]
        elif error and (match := _ARROW.match(line)):
            built.append(Failure("build", match["path"], int(match["line"]), error))
            error = ""
        elif current and not found[current].line and (match := _PANIC.search(line) or _OLD_PANIC.search(line)):
            message = match.groupdict().get("message") or ""
            found[current] = Failure(current, match["path"], int(match["line"]), message)
            awaits_message = not message
        elif current and awaits_message and line.strip():
            before = found[current]
            found[current] = Failure(current, before.path, before.line, line.strip())
            awaits_message = False
    if passed is None:
        return (
            Report(tuple(built))
            if any(line.startswith("error: could not compile") for line in lines)
            else Report()
        )
    return Report(tuple(found.values()), passed, failed)
