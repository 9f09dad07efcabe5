"""`tidegate practice` as it is asked wrongly, and the kinds that it lists."""

import pytest

from app.cli import main
from app.practice.mastery import MASTERED


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--json"], "--json goes with --headless"),
        (["--headless", "--kind", "nonsense"], "has no kind nonsense"),
        (["--headless", "--seed", "many"], "invalid int value"),
        (["--headless", "--model", "/absent"], "there is no model"),
        (["here"], "unrecognized arguments"),
    ],
)
def test_bad_arguments_are_one_sentence_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    try:
        status = main(["practice", *arguments])
    except SystemExit as end:  # argparse's way
        status = int(end.code or 0)
    said = capsys.readouterr()
    assert status == 2 and says in said.err.splitlines()[-1] and said.out == ""


def test_the_kinds_that_users_meet_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["practice", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(MASTERED)
    assert len(MASTERED) >= 10
