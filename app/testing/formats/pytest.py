"""pytest: sections that underscores head, a short summary, counts in the last line."""

import re
from collections.abc import Sequence

from app.testing.model import Failure, Report

_SECTION = re.compile(r"^_{3,} (?P<name>.+?) _{3,}$")
_RULE = re.compile(r"^={10,}(?: .+ ={3,})?$")
_SUMMARY = re.compile(
    r"^(?P<kind>FAILED|ERROR) (?P<path>[^\s:]+\.\w+)(?:::(?P<name>.+?))?(?: - (?P<message>.*))?$"
)
_LOCATION = re.compile(r"^(?P<path>[^\s:][^:\n]*\.\w+):(?P<line>\d+): ")
_SAID = re.compile(r"^E {3,}(?P<message>\S.*)$")
_END = re.compile(r"^=* ?(?P<counts>(?:\d+ [a-z]+(?:, )?)+) in [\d.:]+")
_COUNT = re.compile(r"(\d+) (passed|failed|errors?)\b")


class _Section:
    """What stands below a test's name: the places of its traceback, and what pytest says of it."""

    def __init__(self) -> None:
        self.places: list[tuple[str, int]] = []
        self.message = ""

    def place(self, path: str) -> tuple[str, int]:
        """Where the test failed: its own line in `path`, not that of what it called, else the outermost that is
        no library's."""
        own = [place for place in self.places if path and place[0].endswith(path)]
        near = [place for place in self.places if "site-packages" not in place[0]]
        found = own or near or self.places
        return found[0] if found else (path, 0)


def parse(lines: Sequence[str]) -> Report:
    """The report of pytest; an empty one where it is not what wrote these lines."""
    sections: dict[str, _Section] = {}
    summary: list[re.Match[str]] = []
    passed = failed = None
    current: _Section | None = None
    for line in lines:
        if match := _SECTION.match(line):
            name = re.sub(r"^ERROR (?:at \w+ of|collecting) ", "", match["name"])
            current = sections.setdefault(name, _Section())
        elif match := _SUMMARY.match(line):
            summary.append(match)
        elif match := _END.match(line):
            counts = {word.rstrip("s"): int(count) for count, word in _COUNT.findall(match["counts"])}
            if counts:
                passed = (passed or 0) + counts.get("passed", 0)
                failed = (failed or 0) + counts.get("failed", 0) + counts.get("error", 0)
        elif current is not None:
            if _RULE.match(line):
                current = None
            elif match := _LOCATION.match(line):
                current.places.append((match["path"], int(match["line"])))
            elif not current.message and (match := _SAID.match(line)):
                current.message = match["message"]
    if not summary and passed is None:
        return Report()
    failures = [_failure(match, sections) for match in summary]
    # Without a summary (-rN) the sections are all there is.
    if not summary:
        failures = [Failure(name, *one.place(name), one.message) for name, one in sections.items()]
    return Report(tuple(failures), passed, failed)


def _failure(match: re.Match[str], sections: dict[str, _Section]) -> Failure:
    name = (match["name"] or "").replace("::", ".")
    section = sections.get(name) or sections.get(match["path"])
    if section is None:
        return Failure(name or match["path"], match["path"], 1, match["message"] or "")
    path, line = section.place(match["path"])
    return Failure(name or match["path"], path, line or 1, match["message"] or section.message)
