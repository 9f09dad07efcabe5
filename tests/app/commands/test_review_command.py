"""`tidegate review` on a terminal, with a diff on standard input and without; and its bad input."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import LONGEST
from tests.support.review.review_cases import git
from tests.support.ui.terminal import Terminal

TIDEGATE = Path(sys.executable).with_name("tidegate")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    root = tmp_path / "work"
    (root / "deep").mkdir(parents=True)
    git(root, "init", "--quiet", "-b", "main")
    (root / "a.txt").write_text("one\ntwo\nthree\n")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "one")
    (root / "a.txt").write_text("one\n2\nthree\n")
    return root


def test_a_diff_on_standard_input_is_reviewed_with_the_keyboard_of_the_terminal(root: Path) -> None:
    git(root, "config", "core.pager", f"{TIDEGATE} review -")
    with Terminal(["git", "diff"], root / "deep") as terminal:
        terminal.wait_for("Review of standard input")
        terminal.wait_for("0 of 1 decided")
        git(root, "checkout", "-q", "a.txt")
        terminal.press("a")
        terminal.wait_for("1 of 1 decided")
        assert (root / "a.txt").read_text() == "one\n2\nthree\n"
        terminal.press("q")
        assert terminal.wait_closed() == 0


def test_the_work_tree_is_staged_from_below_the_top_and_an_operation_is_named(root: Path) -> None:
    (root / ".git" / "MERGE_HEAD").write_bytes(git(root, "rev-parse", "HEAD"))
    with Terminal([TIDEGATE, "review"], root / "deep") as terminal:
        terminal.wait_for("Review of the work tree")
        terminal.wait_for("a merge is under way")
        terminal.press("a")
        terminal.wait_for("Nothing to review")
        assert git(root, "show", ":a.txt") == b"one\n2\nthree\n"
        terminal.press("c")
        terminal.wait_for("Commit")
        terminal.type("x").press("ctrl+s")
        terminal.wait_for("finish or abort the merge")
        terminal.press("escape")
        terminal.wait_for(lambda text: "Ctrl+S" not in text)
        terminal.press("u")
        terminal.wait_for("0 of 1 decided")
        assert git(root, "show", ":a.txt") == b"one\ntwo\nthree\n"
        terminal.press("q")
        assert terminal.wait_closed() == 0


def test_a_patch_file_is_named_from_where_the_user_is(root: Path) -> None:
    (root / "deep" / "fix.patch").write_bytes(git(root, "diff"))
    git(root, "checkout", "-q", ".")
    with Terminal([TIDEGATE, "review", "fix.patch"], root / "deep") as terminal:
        terminal.wait_for("Review of fix.patch")
        terminal.press("A")
        terminal.wait_for("1 of 1 decided")
        assert (root / "a.txt").read_text() == "one\n2\nthree\n"
        terminal.press("q")
        assert terminal.wait_closed() == 0


def test_what_holds_no_diff_goes_through_as_through_any_pager(root: Path) -> None:
    git(root, "config", "core.pager", f"{TIDEGATE} review -")
    with Terminal(["git", "log", "--oneline"], root) as terminal:
        terminal.wait_for(" one")
        assert terminal.wait_closed() == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "needs a terminal"),
        (["-"], "needs a terminal"),
        (["HEAD", "--staged"], "leave out 'HEAD'"),
        (["--bogus"], "unrecognized arguments"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(root: Path, arguments: list[str], says: str) -> None:
    done = subprocess.run(
        [TIDEGATE, "review", *arguments],
        cwd=root,
        input="",
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "neither a commit nor a patch file"),
        (["nonsense..HEAD"], "neither a commit nor a patch file"),
        (["-"], "pipe a diff into it"),
        (["HEAD..HEAD"], "There are no changes in HEAD..HEAD"),
    ],
)
def test_what_cannot_be_reviewed_is_said_before_the_screen_opens(
    root: Path, arguments: list[str], says: str
) -> None:
    with Terminal([TIDEGATE, "review", *arguments], root) as terminal:
        terminal.wait_for(says)
        assert terminal.wait_closed() == (0 if "changes" in says else 2)


@pytest.mark.slow
def test_the_bench_prints_ratios(root: Path) -> None:
    done = subprocess.run(
        [TIDEGATE, "bench", "review", "--lines", "2000", "--files", "10"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "git diff of 2,000 changed lines in 10 files" in lines[0]
    assert sum("×" in line for line in lines) == 5
    large, small = (part.split()[0] for part in lines[-1].removeprefix("mounted widgets: ").split(", "))
    assert large == small
