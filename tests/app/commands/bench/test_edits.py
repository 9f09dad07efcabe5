"""`tidegate bench edits`: true edits, perturbed, never land wrong."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agent.editing.corpus import PERTURBATIONS, attempts, hunks
from app.cli import main
from app.commands.bench.edits import measure, true_edits
from app.commands.bench.edits import run as bench
from tests.support.review.real_project import git, real_project

CHANGES = 12  # commits that are made of the real project's files


def history(root: Path) -> None:
    """Change the project's own files as people do: lines renamed, removed, put in, moved."""
    chance = random.Random(1)
    files = sorted((root / "src").rglob("*.py"))
    for number in range(CHANGES):
        file = files[number % len(files)]
        lines = file.read_text().split("\n")
        for place in sorted(
            chance.sample(range(5, max(6, len(lines) - 5)), min(3, len(lines) // 20)), reverse=True
        ):
            match chance.randrange(4):
                case 0:
                    lines[place] = lines[place].replace("self", "this").replace("str", "text") + "  # changed"
                case 1:
                    del lines[place : place + 2]
                case 2:
                    lines[place:place] = [*lines[place : place + 2], "    'put in'"]
                case 3:
                    lines[place], lines[place + 1] = lines[place + 1], lines[place]
        file.write_text("\n".join(lines))
        git(root, "commit", "--quiet", "--all", "--message", f"Change {file.name}")


def test_no_perturbed_edit_of_a_real_project_lands_wrong(tmp_path: Path) -> None:
    root = real_project(tmp_path)
    history(root)
    edits = true_edits(root, 30)
    assert len(edits) >= 25
    report = measure(edits)
    assert report.wrong == ()
    counts = report.counts
    assert all(counts[name, "right"] + counts[name, "helped"] > 0 for name in PERTURBATIONS)
    assert counts["as it was", "right"] >= len(edits) - 3
    assert counts["stale line", "right"] == counts["duplicate", "right"] == 0
    assert sum(counts[name, "refused"] for name in PERTURBATIONS) == 0, "every refusal helps"


def test_a_hunk_alone_is_the_file_with_that_change() -> None:
    before = "".join(f"line {number}\n" for number in range(40))
    after = before.replace("line 5\n", "five\n").replace("line 30\n", "")
    one, two = hunks(before, after)
    assert one.after == before.replace("line 5\n", "five\n") and two.after == before.replace("line 30\n", "")
    assert one.old == "line 3\nline 4\nline 5\nline 6\nline 7\n"


@given(st.text(alphabet="ab \n'", max_size=40), st.text(alphabet="ab \n'", max_size=40), st.integers(0, 9))
def test_what_is_expected_is_the_true_text_or_a_refusal(before: str, after: str, seed: int) -> None:
    for edit in hunks(before, after):
        assert before[edit.start :].startswith(edit.old)
        for name, attempt in attempts(edit, random.Random(seed)):
            if name in ("stale line", "duplicate"):
                assert attempt.expected is None
            elif name != "newline":
                assert attempt.expected in (edit.after, edit.whole)


def test_the_command_prints_the_table_and_names_what_is_no_repository(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "--quiet")
    git(root, "config", "user.name", "A Developer")
    git(root, "config", "user.email", "developer@example.invalid")
    for text in ("one\ntwo\nthree\n", "one\n2\nthree\n"):
        (root / "a.txt").write_text(text)
        git(root, "add", ".")
        git(root, "commit", "--quiet", "--message", "Write")
    assert bench([str(root)]) == 0
    table = capsys.readouterr().out
    assert "1 true edits" in table and "landed wrong" in table
    ended = subprocess.run(
        [sys.executable, "-m", "app.cli", "bench", "edits", str(tmp_path)],
        capture_output=True,
        check=False,
        text=True,
    )
    assert ended.returncode == 2 and "git repository" in ended.stderr and "Traceback" not in ended.stderr
    assert main(["bench", "edits", str(root)]) == 0
