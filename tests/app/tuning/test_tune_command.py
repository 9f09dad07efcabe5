"""`tidegate tune data` shows every example and strikes out; without the user's word nothing is collected."""

from pathlib import Path

import pytest

from app.commands.options import BadUsage
from app.commands.tune import with_review
from app.commands.tune.data import run
from app.settings.settings import remember
from app.tuning.collecting import collect_if_wanted
from app.tuning.example_file import example_files
from tests.support.review.reviewed_work import ReviewedWork


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReviewedWork:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    root = tmp_path / "work"
    root.mkdir()
    (root / "a.txt").write_text("one\ntwo\nthree\n")
    work = ReviewedWork(root)
    hunks = work.reply(("a.txt", "two\n", "cnt\n"), words="Count.")
    work.comment("a.txt", "No abbreviations.\x1b[31m")
    work.write("a.txt", "one\ncount\nthree\n")
    work.review.keep(hunks | work.pending())
    return work


def test_nothing_is_collected_unless_the_user_says_so(
    work: ReviewedWork, capsys: pytest.CaptureFixture[str]
) -> None:
    collect_if_wanted(work.root)
    assert run([]) == 0
    assert "learn_from_review is false" in capsys.readouterr().out
    assert example_files() == []
    with pytest.raises(BadUsage, match="no examples"):
        with_review(["--data", "review"])


def test_examples_are_listed_shown_struck_out_and_trained_on(
    work: ReviewedWork, capsys: pytest.CaptureFixture[str]
) -> None:
    remember("learn_from_review", True)
    collect_if_wanted(work.root)
    assert run([]) == 0
    listed = capsys.readouterr().out
    assert "corrected  work: a.txt  “No abbreviations.”" in listed and "2 examples" in listed
    corrected, reasoned = (line.split()[0] for line in listed.splitlines()[:2])
    assert run([corrected]) == 0
    shown = capsys.readouterr().out
    assert "-cnt" in shown
    assert "+count" in shown and "for you said: No abbreviations." in shown and "\x1b" not in shown
    assert run(["--strike", reasoned]) == 0
    capsys.readouterr()
    words = with_review(["--model", "m", "--data", "review", "--out", "x"])
    assert words[:3] == ["--model", "m", "--data"]
    (line,) = Path(words[3]).read_text().splitlines()
    assert corrected in line
    assert run(["--restore", reasoned]) == 0
    with pytest.raises(BadUsage, match="nowhere"):
        run(["nowhere"])
