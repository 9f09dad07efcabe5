"""What the review pane is made of, without a screen: work at a desk, counts, and lists."""

import asyncio
import threading
from pathlib import Path

import pytest

from app.review.desks.agent_desk import AgentDesk
from app.review.model import TurnSummary
from app.review.review import Review
from app.ui.panes.review.desk_work import DeskWork
from app.ui.panes.review.listings import chosen_turns, file_entries, turn_entries
from app.ui.panes.review.progress import Progress
from tests.support.patience import LONGEST
from tests.support.review.diffs import changes_of, decided
from tests.support.ui.screen import edit

CHANGES = changes_of({"a.txt": ("one\ntwo\n", "1\ntwo\nthree\n"), "b.txt": ("one\n", "two\n")})


async def test_a_refused_decision_is_told_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("one\n")
    review = Review(tmp_path)
    edit(review, tmp_path, b__txt="two\n")
    told: list[tuple[str, bool]] = []
    work = DeskWork(
        review, [AgentDesk(review, tmp_path)], lambda sentence, is_error: told.append((sentence, is_error))
    )
    ids = review.hunk_ids()
    review.begin_turn(2)
    assert await work.decide(lambda: review.reject(ids)) is None
    ((sentence, is_error),) = told
    assert is_error
    assert sentence
    assert (tmp_path / "b.txt").read_text() == "two\n"
    review.end_turn(2)
    reading = await work.decide(lambda: review.reject(ids))
    assert reading is not None
    assert not reading.was_refused
    assert (tmp_path / "b.txt").read_text() == "one\n"


async def test_decisions_are_taken_one_after_the_other(tmp_path: Path) -> None:
    review = Review(tmp_path)
    work = DeskWork(review, [AgentDesk(review, tmp_path)], lambda *_: None)
    order: list[str] = []
    may_end = threading.Event()

    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow() -> None:
        order.append("slow begins")
        loop.call_soon_threadsafe(begun.set)
        may_end.wait(LONGEST)
        order.append("slow ends")

    tasks = [
        asyncio.create_task(work.decide(slow)),
        asyncio.create_task(work.run(lambda: order.append("next"))),
    ]
    await begun.wait()
    may_end.set()
    await asyncio.gather(*tasks)
    assert order == ["slow begins", "slow ends", "next"]


def test_what_is_decided_and_gone_is_counted_until_it_is_committed() -> None:
    progress = Progress()
    progress.count(CHANGES, "reading")
    total = progress.total
    assert (progress.decided, progress.pending) == (0, total)
    # A staged hunk is no longer among the changes of the work tree.
    progress.count(CHANGES[:1], "decision")
    assert (progress.total, progress.decided) == (total, 1)
    assert progress.can_undo
    progress.count(CHANGES[:1], "reading")
    assert (progress.total, progress.decided) == (total, 1), "read again, nothing is different"
    progress.committed()
    progress.count(CHANGES[:1], "reading")
    assert (progress.total, progress.decided) == (total - 1, 0)
    # Where other lines are put in the place of two hunks by one, nothing is decided by that.
    progress.count(CHANGES, "reading")
    progress.count(CHANGES[:1], "rewriting")
    assert (progress.total, progress.decided, progress.can_undo) == (total - 1, 0, True)
    progress.count((), "decision")
    assert (progress.total, progress.decided, progress.can_undo) == (0, 0, True)
    progress.count((), "reading")
    assert progress.can_undo, "with nothing left to show, the last decision can still be undone"


def test_the_file_list_says_how_far_each_is() -> None:
    first, second = file_entries((decided(CHANGES[0], "kept"), CHANGES[1]), ["b.txt", "b.txt"])
    assert (first.key, first.head.split(), first.tail) == ("a.txt", ["✓", "M", "+2", "−1"], "1/1")
    assert (second.key, second.head.split(), second.tail) == ("b.txt", ["○", "M", "+1", "−1"], "0/1  ✎ 2")


@pytest.mark.parametrize(
    ("verb", "key", "serials"),
    [("a", "5", [5]), ("x", "3", [3]), ("A", "5", [5, 9]), ("X", "3", [3, 5, 9]), ("a", "all", [3, 5, 9])],
)
def test_a_capital_letter_includes_later_turns(verb: str, key: str, serials: list[int]) -> None:
    turns = [
        TurnSummary(n, ("a.txt",), "s", f"words {n}\nmore", serial) for n, serial in enumerate((3, 5, 9), 1)
    ]
    assert chosen_turns(turns, verb, key) == serials
    entries = turn_entries(turns)
    assert [(one.key, one.name) for one in entries[:2]] == [("9", "words 3"), ("5", "words 2")]
    assert entries[-1].tail == "3 turns"
