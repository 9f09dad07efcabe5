"""Python's unittest: a rule, the test's name, a traceback; counts at the end."""

import re
from collections.abc import Sequence

from app.testing.model import Failure, Report

_HEAD = re.compile(r"^(?:FAIL|ERROR): (?P<name>\S+)(?: \((?P<where>[^)]*)\))?")
_FRAME = re.compile(r'^\s+File "(?P<path>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>\S+))?')
_RULE = re.compile(r"^[=-]{70}$")
_RAN = re.compile(r"^Ran (\d+) tests? in ")
_BAD = re.compile(r"\b(?:failures|errors|unexpected successes)=(\d+)")


def parse(lines: Sequence[str]) -> Report:
    """The report of unittest; an empty one where it is not what wrote these lines."""
    failures: list[Failure] = []
    ran = bad = None
    name = ""
    frames: list[tuple[str, int, str]] = []
    message = ""
    is_below_head = False

    def close() -> None:
        nonlocal name
        if name:
            own = [frame for frame in frames if frame[2] == name.split(".")[-1]]
            path, line, _ = (own or frames or [("", 0, "")])[-1]
            failures.append(Failure(name, path, line, message))
        name = ""

    for line in lines:
        if match := _HEAD.match(line):
            close()
            name, frames, message, is_below_head = match["name"], [], "", True
        elif _RULE.match(line):
            if not is_below_head:
                close()
            is_below_head = False
        elif match := _RAN.match(line):
            close()
            ran = (ran or 0) + int(match[1])
        elif ran is not None and line.startswith("FAILED ("):
            bad = (bad or 0) + sum(map(int, _BAD.findall(line)))
        elif name and (match := _FRAME.match(line)):
            frames.append((match["path"], int(match["line"]), match["function"] or ""))
        elif name and frames and line and not line[0].isspace() and not message:
            message = line
    close()
    if ran is None:
        return Report()
    return Report(tuple(failures), max(0, ran - (bad or 0)), bad or 0)
