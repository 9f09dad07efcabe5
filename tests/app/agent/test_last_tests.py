"""What is told of the last tests: which commands count as tests, and what comes between them and a reply."""

import pytest

from app.agent.events import ToolFinished, ToolStarted
from app.agent.last_tests import LastTests, runs_tests

RED = "F\n[Exit status 1]"


@pytest.mark.parametrize(
    "command",
    [
        "python3 -m unittest",
        "cd src && python -m pytest -q tests/test_a.py | tail -5",
        "uv run pytest",
        "FOO=1 .venv/bin/pytest -x",
        "npm run test:unit",
        "make -s test",
        "cargo test --workspace",
        "go test ./...",
        "./gradlew test",
        "python tests/test_a.py",
        "bash run_tests.sh",
    ],
)
def test_commands_that_run_tests(command: str) -> None:
    assert runs_tests(command)


@pytest.mark.parametrize(
    "command",
    ["grep -rn pytest .", "git log tests", "pip install pytest", "ls tests", "cat test_a.py", "make", ""],
)
def test_commands_that_do_not(command: str) -> None:
    assert not runs_tests(command)


def run(tests: LastTests, command: str, ok: bool, result: str) -> None:
    tests.apply(ToolStarted("1", "run_shell_command", {"command": command}, f"$ {command}"))
    tests.apply(ToolFinished("1", "run_shell_command", ok, result, result))


def test_a_red_test_is_told_once_whatever_else_ran() -> None:
    tests = LastTests()
    assert tests.take_words() == ""
    run(tests, "python3 -m unittest", False, RED)
    run(tests, "ls", True, "a.py")
    assert tests.failed and tests.take_words() == "Last tests: python3 -m unittest, exit status 1"
    assert tests.take_words() == ""
    tests.apply(ToolFinished("2", "edit", True, "Edited a.py", ""))
    assert tests.take_words().endswith("exit status 1, before the last edit")
    run(tests, "python3 -m unittest", True, "OK")
    assert not tests.failed and tests.take_words() == "Last tests: python3 -m unittest, exit status 0"
