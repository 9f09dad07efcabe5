"""go test: failures by indentation, their package said at its end, files named without their folder."""

import re
from collections.abc import Sequence
from dataclasses import replace

from app.testing.model import Failure, Report

_FAILED = re.compile(r"^(?P<indent> *)--- FAIL: (?P<name>\S+)")
_PASSED = re.compile(r"^ *--- PASS: \S+")
_SAID = re.compile(r"^\s+(?P<path>[\w.-]+\.go):(?P<line>\d+): ?(?P<message>.*)$")
_FRAME = re.compile(r"^\t(?P<path>/\S+_test\.go):(?P<line>\d+)")
_PACKAGE = re.compile(r"^(?:FAIL|ok  )\t(?P<package>\S+)(?:\t| \[)")
_BUILD = re.compile(r"^(?P<path>[\w./-]+\.go):(?P<line>\d+):\d+: (?P<message>.*)$")


def parse(lines: Sequence[str]) -> Report:
    """The report of go test; an empty one where it is not what wrote these lines."""
    failures: list[Failure] = []
    open_ones: list[Failure] = []
    passed = packages = 0
    for line in lines:
        if match := _FAILED.match(line):
            # A test fails because one inside it does: that one is what there is to look at.
            open_ones = [one for one in open_ones if one.line or not match["name"].startswith(f"{one.name}/")]
            open_ones.append(Failure(match["name"]))
        elif _PASSED.match(line):
            passed += 1
        elif match := _PACKAGE.match(line):
            packages += 1
            failures += [replace(one, package=match["package"]) for one in open_ones]
            open_ones = []
        elif open_ones and not open_ones[-1].line and (match := _SAID.match(line) or _FRAME.match(line)):
            message = match.groupdict().get("message") or ""
            open_ones[-1] = Failure(open_ones[-1].name, match["path"], int(match["line"]), message)
        elif match := _BUILD.match(line):
            failures.append(Failure("build", match["path"], int(match["line"]), match["message"]))
    if not packages:
        return Report()
    failures += open_ones
    return Report(tuple(failures), passed or None, len(failures) or None)
