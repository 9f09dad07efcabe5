"""What a test run says: which function fails first, in which file, and how."""

import re
from dataclasses import dataclass

_RULE = "=" * 70
_TEST = re.compile(r"^(?:FAIL|ERROR): (\w+) \((\S+?)\)", re.MULTILINE)
_FRAME = re.compile(r'^  File "[^"]*?([^/"]+)", line \d+(?:, in \S+)?\n    (.*)$', re.MULTILINE)
_LAST = re.compile(r"^(\w+(?:Error|Exception))(?:: (.*))?$", re.MULTILINE)
_ASSERTION = re.compile(r"self\.assert\w+\((.*)\)$")
_NAMES = {"NameError", "UnboundLocalError", "AttributeError", "KeyError", "ModuleNotFoundError"}
"""Errors whose message quotes the name that is wrong, as the last one before what Python suggests."""
_NOTHING = "None was returned"
_LONGEST = 110


@dataclass(frozen=True, slots=True)
class Failure:
    """The first failure of a run. `path` is the file that its traceback ends in, or that the test is named for,
    `said` what was expected and what came, in a few words, "" where that would be too long. `loads`: the test
    file could be imported. `test` are the words in the test's lines of the traceback."""

    path: str
    said: str
    loads: bool
    test: str


def first_failure(output: str) -> Failure | None:
    """Of what a test run printed; None where nothing failed."""
    part = output.partition(_RULE)[2].partition(_RULE)[0]
    test = _TEST.search(part)
    errors = _LAST.findall(part)
    if test is None or not errors:
        return None
    loads = "_FailedTest" not in test[2]
    module = re.sub(r"^test_", "", test[2].split(".")[0] if loads else test[1])
    frames = [frame for frame in _FRAME.findall(part) if not frame[0].startswith("loader.py")]
    shown = re.sub(r"\W+", " ", " ".join(line for path, line in frames if path.startswith("test_")))
    inner = [path for path, _line in frames if not path.startswith("test_")]
    error, message = errors[-1]
    if error != "AssertionError":
        return Failure(inner[-1] if inner else f"{module}.py", _error(error, message), loads, shown)
    assertion = next((_ASSERTION.match(line) for _path, line in reversed(frames)), None)
    return Failure(f"{module}.py", _difference(assertion[1] if assertion else "", message, part), loads, shown)


def _error(error: str, message: str) -> str:
    names = re.findall(r"'(\w+)'", message.partition(". Did you ")[0]) if error in _NAMES else []
    if error == "TypeError":
        names = re.findall(r"(\w+)\(\) (?:takes|missing)", message)
    return f"{error} of `{names[-1]}`" if names else error


def _difference(call: str, message: str, part: str) -> str:
    missing = re.fullmatch(r"(\w+) not raised", message)
    if missing:
        inside = re.search(r"^    with self\.assertRaises", part, re.MULTILINE)
        return f"{missing[1]} was not raised" if inside else ""
    if re.match(r"None (?:!=|is not) ", message):
        return _NOTHING
    truth = re.fullmatch(r"(.*) is not (true|false|None)", message)
    if truth:
        said = f"`{call}` gave {truth[1]}, not {truth[2].capitalize()}"
    else:
        values = re.fullmatch(r"(?:\w+ differ: )?(.*) != (.*?)(?: within 7 places.*)?", message)
        if values is None or " chars]" in message or not call.endswith(f", {values[2]}"):
            return ""
        said = f"`{call.removesuffix(f', {values[2]}')}` gave {values[1]}, not {values[2]}"
    return said if len(said) <= _LONGEST else ""
