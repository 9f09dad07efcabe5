"""Reviews for other programs: what is written is read again by its own rules."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.review.exports.comments import as_github_review, as_markdown
from app.review.model import Comment
from app.review.review import Review
from tests.support.review.diffs import changes_of
from tests.support.review.review_cases import git

TIDEGATE = Path(sys.executable).with_name("tidegate")
CHANGES = changes_of({"a.py": ("one\ntwo\nthree\nfour\n", "one\n2\nII\nthree\nfour\n"), "b.py": ("", "x\ny\n")})
HUNK, NEW = (change.hunks[0].id for change in CHANGES)


def test_a_github_review_has_side_line_and_run_of_each_comment_and_the_rest_in_its_text() -> None:
    comments = (
        Comment(1, "a.py", 2, "two", "was fine", hunk=HUNK),
        Comment(2, "a.py", 3, "II", "really?", hunk=HUNK),
        Comment(3, "a.py", 4, "three", "as before", hunk=HUNK),
        Comment(4, "b.py", 1, "", "the whole hunk", hunk=NEW),
        Comment(5, "a.py", 90, "far away", "elsewhere"),
        Comment(6, "c.py", 0, "", "no such file here"),
    )
    review = as_github_review(comments, CHANGES, "f" * 40)
    assert review["comments"] == [
        {"path": "a.py", "side": "LEFT", "line": 2, "body": "was fine"},
        {"path": "a.py", "side": "RIGHT", "line": 3, "body": "really?"},
        {"path": "a.py", "side": "RIGHT", "line": 4, "body": "as before"},
        {
            **{"path": "b.py", "side": "RIGHT", "line": 2, "body": "the whole hunk"},
            **{"start_line": 1, "start_side": "RIGHT"},
        },
    ]
    assert review["body"] == "a.py:90: elsewhere\n\nc.py: no such file here"
    assert review["commit_id"] == "f" * 40 and "event" not in review


def test_markdown_quotes_code_in_a_fence_that_it_cannot_close() -> None:
    comments = (Comment(1, "a.md", 3, "```py `x`\r", "say *why*"), Comment(2, "a.md", 0, "", "and this"))
    assert as_markdown("HEAD", comments) == (
        "# Review of HEAD\n\n## a.md\n\n**Line 3**\n\n````\n```py `x`\n````\n\nsay *why*\n\n"
        "**The file**\n\nand this\n"
    )


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "--quiet", "-b", "main")
    for number, text in enumerate((b"one\ntwo\n", b"one\n\xff2\n")):
        (root / "a.txt").write_bytes(text)
        git(root, "add", "-A")
        git(root, "commit", "--quiet", "-m", f"commit {number}")
    return root


def run(root: Path, *given: str) -> subprocess.CompletedProcess[str]:
    command = [TIDEGATE, "review", *given]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_scripts_get_the_review_as_json_and_the_comments_in_each_form(root: Path) -> None:
    log = Review(root)
    log.comment("a.txt", 2, "\udcff2", "what is this byte?", source="HEAD")
    del log
    read = json.loads(run(root, "HEAD", "--json").stdout)
    (file,) = read["files"]
    lines = [(line["kind"], line["text"], line["before"], line["after"]) for line in file["hunks"][0]["lines"]]
    assert lines == [
        ("context", "one", 1, 1),
        ("removed", "two", 2, None),
        ("added", "\ufffd2", None, 2),
    ]
    assert (read["comments"][0]["side"], file["hunks"][0]["decision"]) == ("RIGHT", "pending")
    github = json.loads(run(root, "HEAD", "--comments", "github").stdout)
    assert github["comments"][0]["line"] == 2
    assert github["commit_id"] == git(root, "rev-parse", "HEAD").decode().strip()
    run(root, "HEAD", "--comments", "notes")
    assert "what is this byte?" in git(root, "notes", "--ref=review", "show", "HEAD").decode()
    failed = run(root, "HEAD^", "--comments", "markdown")
    assert failed.returncode != 0 and "There are no comments on HEAD^" in failed.stderr
