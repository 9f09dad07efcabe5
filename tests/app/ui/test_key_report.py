"""`tidegate doctor keys` says what a key sends and does."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.ui.keys.key_report import KeyReader, report
from tests.support.ui.terminal import Terminal


def told(sent: str) -> list[str]:
    reader = KeyReader()
    found = [*reader.feed(sent), *reader.tick()]
    return [line for part, event in found for line in report(part, event, {"review.reject": ("z",)})]


@pytest.mark.parametrize(
    ("sent", "lines"),
    [
        (
            "\x10",
            [
                "Ctrl+P   Textual: ctrl+p   bytes: 10",
                "Anywhere: Find an action, a file or a symbol (app.palette)",
            ],
        ),
        ("\x1bOQ", ["F2   Textual: f2   bytes: 1b 4f 51", "Workspace: Go to the files (workspace.files)"]),
        ("z", ["Review: Reject, discard, unstage or skip it (review.reject)", "it is typed"]),
        ("\x1b[1;3D", ["Alt+←   Textual: alt+left   bytes: 1b 5b 31 3b 33 44", "cursor word left"]),
        ("\x1bb", ["Textual: ctrl+left   bytes: 1b 62", "cursor word left"]),
        ("ƒ", ["bytes: c6 92", "it is typed"]),
        ("\x1b[102;3u", ["Alt+F   Textual: alt+f", "does nothing in the workspace"]),
        ("\x1b[200~a\nb\x1b[201~", ["A paste of 3 characters"]),
    ],
)
def test_a_key_is_told_with_its_bytes_and_what_it_does_in_each_pane(sent: str, lines: list[str]) -> None:
    said = "\n".join(told(sent))
    assert [line for line in lines if line not in said] == []


def test_keys_that_come_together_are_told_apart_and_modifiers_alone_are_none() -> None:
    assert [line.split()[0] for line in told("ab\x1b[A\x1b[57441u\x1b[C") if line[0] != " "] == [
        "a",
        "b",
        "↑",
        "→",
    ]


def test_it_ends_with_the_key_that_it_names_and_leaves_the_terminal_as_it_was() -> None:
    with Terminal([sys.executable, "-m", "app.cli", "doctor", "keys"], Path.cwd()) as terminal:
        terminal.wait_for("q ends")
        terminal.type("\x1b")
        terminal.wait_for("workspace.cancel")
        terminal.type("\x03")
        terminal.wait_for("ctrl+c")
        terminal.type("q")
        assert terminal.wait_closed() == 0


def test_without_a_terminal_it_says_so() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "app.cli", "doctor", "keys"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 2 and "there is no terminal" in said.stderr and said.stderr.count("\n") == 1
