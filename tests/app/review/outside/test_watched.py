"""Programs outside change files, and their changes are hunks like the agent's, decided while they go on."""

import asyncio
from pathlib import Path

import pytest

from app.commands.reviewing.watching import changed_outside
from app.review.desks.agent_desk import AgentDesk
from app.review.desks.desk import HunkPart
from app.review.errors import ReviewError
from app.review.outside.watched import watched
from app.review.review import Review
from tests.support.patience import LONGEST
from tests.support.review.review_cases import git

TWENTY = [f"line {number}" for number in range(20)]


def written(root: Path, **lines: str) -> None:
    new = [lines.get(f"l{number}", line) for number, line in enumerate(TWENTY)]
    (root / "a.txt").write_text("\n".join(new) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "--quiet", "-b", "main")
    written(root)
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "base")
    return root


def states(desk: AgentDesk) -> list[tuple[str, str]]:
    return [(change.path, hunk.decision) for change in desk.changes() for hunk in change.hunks]


def test_what_a_program_writes_is_decided_while_it_goes_on_writing(root: Path) -> None:
    (root / "own.txt").write_text("the user's, before\n")
    log, session = watched(Review(root))
    desk = AgentDesk(log, root)
    session.begin()
    assert states(desk) == []
    written(root, l2="two", l17="seventeen")
    (root / "new.txt").write_text("new\n")
    assert states(desk) == [("a.txt", "pending"), ("a.txt", "pending"), ("new.txt", "pending")]
    assert [path for path, _ in desk.subsets().hunks.values()] == ["a.txt", "a.txt", "new.txt"]
    change = desk.changes()[0]
    # While the user looked, the program wrote on: that is taken in before the decision, and stays.
    (root / "new.txt").write_text("new\nmore\n")
    desk.drop([HunkPart(change, change.hunks[0])])
    assert (root / "a.txt").read_text().splitlines()[2] == "line 2"
    assert (root / "new.txt").read_text() == "new\nmore\n"
    desk.take([HunkPart(change, change.hunks[1])])
    written(root, l9="nine", l17="seventeen")
    assert ("a.txt", "pending") in states(desk) and ("a.txt", "kept") in states(desk)
    desk.undo()
    assert [state for path, state in states(desk) if path == "a.txt"].count("pending") == 2
    before = states(desk)
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "the program's own")
    assert states(desk) == before
    session.end()
    (root / "own.txt").write_text("the user's, after\n")
    assert states(AgentDesk(Review(root), root)) == before


def test_nothing_is_watched_while_another_windows_turn_runs(root: Path) -> None:
    other = Review(root)
    other.begin_turn(1)
    _, session = watched(Review(root))
    with pytest.raises(ReviewError, match="Another window"):
        session.begin()
    other.end_turn(1)
    session.begin()
    session.end()


async def test_changes_of_files_and_of_gits_state_are_told(root: Path) -> None:
    log, session = watched(Review(root))
    session.begin()
    desk = AgentDesk(log, root)
    changes = changed_outside(root)

    async def told() -> None:
        await anext(changes)

    waiting = asyncio.ensure_future(told())
    deadline = asyncio.get_running_loop().time() + LONGEST
    number = 0
    # Until it is watched, nobody hears of a change: so there is another one.
    while not waiting.done():
        assert asyncio.get_running_loop().time() < deadline
        number += 1
        written(root, l3=f"three {number}")
        await asyncio.wait([waiting], timeout=0.5)
    assert states(desk) == [("a.txt", "pending")]
    session.end()
