"""`tidegate review -` as git's pager: a diff opens the review; what is none, or one of words, is passed on."""

import sys
from pathlib import Path

import pytest

from tests.support.review.review_cases import git
from tests.support.ui.terminal import Terminal

TIDEGATE = Path(sys.executable).with_name("tidegate")


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "-b", "main")
    git(tmp_path, "config", "user.name", "a")
    git(tmp_path, "config", "user.email", "a@b")
    (tmp_path / "a.txt").write_text("one two three\nlast\n")
    git(tmp_path, "add", "-A")
    # A title that a terminal would take for its own.
    git(tmp_path, "commit", "--quiet", "-m", "one", "-m", "\x1b]0;owned\x07body")
    (tmp_path / "a.txt").write_text("one 2 three\nlast\n")
    return tmp_path


def paged(root: Path, *arguments: str) -> Terminal:
    pager = f"core.pager={TIDEGATE} review -"
    return Terminal(["git", "-c", pager, *arguments], root, columns=90, rows=24)


@pytest.mark.parametrize("kind", ["plain", "color", "porcelain"])
def test_a_word_diff_is_passed_on_with_its_colours(changed: Path, kind: str) -> None:
    with paged(changed, "diff", f"--word-diff={kind}", "--color=always") as terminal:
        assert terminal.wait_closed() == 0
        marked = {"plain": "[-two-]", "color": "two", "porcelain": "-two"}[kind]
        assert marked in terminal.text and "one" in terminal.text
        assert b"\x1b[31m" in terminal.received and "damaged" not in terminal.text


def test_what_is_no_diff_is_passed_on_and_commands_nothing(changed: Path) -> None:
    with paged(changed, "log") as terminal:
        assert terminal.wait_closed() == 0
        assert "one" in terminal.text and "body" in terminal.text
        assert b"\x1b]0;" not in terminal.received


def test_a_diff_opens_the_review(changed: Path) -> None:
    with paged(changed, "diff", "--color=always") as terminal:
        terminal.wait_for("one 2 three")
        terminal.wait_for("open")
        terminal.type("q")
        assert terminal.wait_closed() == 0


def test_the_screen_is_drawn_where_standard_error_goes_to_a_file(changed: Path) -> None:
    with Terminal(["bash", "-c", f"{TIDEGATE} review 2>errors"], changed, columns=90, rows=24) as terminal:
        terminal.wait_for("one 2 three")
        terminal.type("q")
        assert terminal.wait_closed() == 0
    assert (changed / "errors").read_bytes() == b""
