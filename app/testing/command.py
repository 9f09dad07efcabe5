"""Which command runs a project's tests: what its files say, unless the user says otherwise."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.paths import expanded

_TARGET = re.compile(r"^(?P<name>test|tests|check)\s*:(?!=)", re.MULTILINE)
_RECIPE = re.compile(r"^(?P<name>test|tests|check)\b[^:\n]*:(?!=)", re.MULTILINE)
_NO_TESTS = re.compile(r"no test specified")  # what `npm init` writes
_REQUIRED = re.compile(r"(?:^|[\s\"'\[,])pytest(?:$|[\s\"'\[\],;<>=~!])", re.MULTILINE)
_LOCKS = (("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("bun.lock", "bun"), ("bun.lockb", "bun"))
_MOST_BYTES = 1_000_000  # of a file that is looked at


@dataclass(frozen=True, slots=True)
class TestCommand:
    """A command line for bash, and what says that it is one: a file, or "settings"."""

    __test__ = False  # for pytest, which takes it for a class of tests

    line: str
    origin: str


def configured_command(root: Path, commands: Mapping[str, str]) -> TestCommand | None:
    """The command that the settings give for `root`: of the nearest folder around it that they name."""
    places = [(expanded(folder), line) for folder, line in commands.items()]
    around = [(len(place.parts), line) for place, line in places if root.is_relative_to(place.resolve())]
    return TestCommand(max(around)[1], "settings") if around else None


def found_commands(root: Path) -> tuple[TestCommand, ...]:
    """The commands that the project's files speak of, the most explicit first. Blocks on the disk."""
    found: dict[str, TestCommand] = {}
    for search in (_make, _just, _package_json, _cargo, _go, _python):
        for command in search(root):
            found.setdefault(command.line, command)
    return tuple(found.values())


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _make(root: Path) -> Iterator[TestCommand]:
    for name in ("GNUmakefile", "Makefile", "makefile"):
        targets = {match["name"] for match in _TARGET.finditer(_text(root / name))}
        for target in ("test", "tests", "check"):
            if target in targets:
                yield TestCommand(f"make {target}", name)
                return


def _just(root: Path) -> Iterator[TestCommand]:
    for name in ("justfile", "Justfile", ".justfile"):
        recipes = {match["name"] for match in _RECIPE.finditer(_text(root / name))}
        for recipe in ("test", "tests", "check"):
            if recipe in recipes:
                yield TestCommand(f"just {recipe}", name)
                return


def _package_json(root: Path) -> Iterator[TestCommand]:
    try:
        package = json.loads(_text(root / "package.json") or "null")
    except ValueError:
        return
    scripts = package.get("scripts") if isinstance(package, dict) else None
    script = scripts.get("test") if isinstance(scripts, dict) else None
    if isinstance(script, str) and script.strip() and not _NO_TESTS.search(script):
        manager = next((program for lock, program in _LOCKS if (root / lock).exists()), "npm")
        yield TestCommand(f"{manager} run test" if manager == "bun" else f"{manager} test", "package.json")


def _cargo(root: Path) -> Iterator[TestCommand]:
    if (root / "Cargo.toml").is_file():
        yield TestCommand("cargo test", "Cargo.toml")


def _go(root: Path) -> Iterator[TestCommand]:
    if (root / "go.mod").is_file():
        yield TestCommand("go test ./...", "go.mod")


def _python(root: Path) -> Iterator[TestCommand]:
    python = _interpreter(root)
    origin = next((name for name, is_meant in _pytest_marks(root) if is_meant), "")
    if origin:
        yield TestCommand(f"{python} -m pytest", origin)
        return
    for folder in ("tests", "test", "."):
        if any((root / folder).glob("test_*.py")) or any((root / folder).glob("*_test.py")):
            is_package = folder != "." and not (root / folder / "__init__.py").exists()
            options = f" -s {folder}" if is_package else ""
            yield TestCommand(f"{python} -m unittest discover{options}", f"{folder}/test_*.py")
            return


def _pytest_marks(root: Path) -> Iterator[tuple[str, bool]]:
    """What may say that a project uses pytest, and whether it does."""
    try:
        project: dict[str, Any] = tomllib.loads(_text(root / "pyproject.toml"))
    except tomllib.TOMLDecodeError:
        project = {}
    tools = project.get("tool", {})
    yield "pyproject.toml", isinstance(tools, dict) and "pytest" in tools
    yield "pytest.ini", (root / "pytest.ini").is_file() or (root / ".pytest.ini").is_file()
    yield "setup.cfg", "[tool:pytest]" in _text(root / "setup.cfg")
    yield "tox.ini", "[pytest]" in _text(root / "tox.ini")
    yield "conftest.py", (root / "conftest.py").is_file() or (root / "tests" / "conftest.py").is_file()
    named = [root / "pyproject.toml", root / "setup.cfg", *root.glob("*requirements*.txt")]
    for file in named:
        yield file.name, _REQUIRED.search(_text(file)) is not None


def _interpreter(root: Path) -> str:
    """The project's own Python, where it has one."""
    for folder in (".venv", "venv", "env"):
        if (root / folder / "bin" / "python").exists():
            return shlex.quote(f"{folder}/bin/python")
    if (root / "uv.lock").exists():
        return "uv run python"
    return "poetry run python" if (root / "poetry.lock").exists() else "python3"
