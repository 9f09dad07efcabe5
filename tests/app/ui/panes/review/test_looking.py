"""Looking without deciding, by keys: what was seen, commit by commit, what moved and what means nothing."""

from pathlib import Path

import pytest

from app.review.desks.sources import source_of
from tests.app.ui.test_review_app import Reader, reading
from tests.support.review.review_cases import git

AREA = "def area(width, height):\n    checked(width, height)\n    return width * height\n"
BASE = f"{AREA}\n\nclass Shape:\n    pass\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "--quiet", "-b", "main")
    states = (
        {"a.py": BASE, "b.py": "import a\n"},
        {"a.py": BASE.replace("width * height", "( width*height )")},
        {"a.py": "class Shape:\n    pass\n", "b.py": f"import a\n\n\n{AREA}"},
    )
    for number, files in enumerate(states):
        for name, text in files.items():
            (root / name).write_text(text)
        git(root, "add", "-A")
        git(root, "commit", "--quiet", "-m", f"commit {number}")
    return root


def states(reader: Reader) -> list[str]:
    return [hunk.decision for change in reader.view.model.changes for hunk in change.hunks]


async def test_a_range_is_gone_through_by_commits_and_what_was_seen_stays_so(root: Path) -> None:
    async with reading(root, source_of(root, "HEAD~2..HEAD")) as reader:
        title = lambda: reader.pane.desk.title  # noqa: E731
        await reader.press("right_parenthesis")
        await reader.until(lambda: title().endswith("commit 1 (1 of 2)") and states(reader) == ["pending"])
        await reader.press("V")
        await reader.until(lambda: states(reader) == ["kept"])
        await reader.press("right_parenthesis")
        await reader.until(lambda: title().endswith("commit 2 (2 of 2)") and len(states(reader)) == 2)
        await reader.until(lambda: "moved from a.py:1" in reader.drawn(), "what moved")
        await reader.press("B")
        await reader.until(lambda: "moved from" not in reader.drawn())
        # On a file's heading, the file.
        await reader.press("g", "V")
        await reader.until(lambda: states(reader) == ["kept", "pending"])
        await reader.press("right_parenthesis", "left_parenthesis")
        await reader.until(lambda: title().endswith("commit 1 (1 of 2)") and states(reader) == ["kept"])
        await reader.press("g", "V")
        await reader.until(lambda: states(reader) == ["pending"])
        await reader.press("u")
        await reader.until(lambda: states(reader) == ["kept"])
        await reader.press("left_parenthesis")
        await reader.until(lambda: title() == "HEAD~2..HEAD" and len(states(reader)) == 2)
    async with reading(root, source_of(root, "HEAD^")) as reader:
        assert states(reader) == ["kept"]


async def test_what_is_only_reformatted_folds_and_in_a_patch_seen_hunks_fold(root: Path) -> None:
    async with reading(root, source_of(root, "HEAD~1")) as reader:
        await reader.press("I")
        await reader.until(lambda: "only reformatted" in reader.drawn() and reader.view.row_count == 2)
        await reader.press("I")
        await reader.until(lambda: reader.view.row_count > 2)
    patch = root / "it.patch"
    patch.write_bytes(git(root, "show", "HEAD"))
    async with reading(root, source_of(root, "it.patch")) as reader:
        rows = reader.view.row_count
        await reader.press("V")
        await reader.until(lambda: reader.view.row_count < rows and "  seen" in reader.drawn())
        assert states(reader) == ["pending", "pending"]
    (root / "b.py").write_text("import os\n")
    async with reading(root, source_of(root, None)) as reader:
        await reader.press("V", "right_parenthesis")
        await reader.until(lambda: len(reader.told) == 2)
        assert "for commits, ranges and patches" in reader.told[0]
        assert "no commits to go through" in reader.told[1]
