"""What the user takes back by other means than a decision is no longer under review, whatever else changed."""

from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from app.review.model import FileImage
from app.review.review import Review
from tests.support.review.review_cases import keep_all
from tests.support.review.review_memory import Fuse, MemoryDisk, MemoryStore

NOWHERE = Path("/nonexistent")
PATH = "a"


class Bench:
    """A review of one file of these lines."""

    def __init__(self, *lines: str) -> None:
        self.disk = MemoryDisk(Fuse())
        self.store = MemoryStore(self.disk.fuse)
        self.user(*lines)
        self.review = Review(NOWHERE, self.store, self.disk)

    def user(self, *lines: str) -> None:
        self.disk.put(PATH, _image(lines))

    def agent(self, *lines: str) -> None:
        self.review.record(PATH, self.disk.read(PATH), _image(lines))
        self.disk.put(PATH, _image(lines))

    def shown(self) -> tuple[set[str], set[str]]:
        """The lines that are under review: removed and added."""
        lines = [line for change in self.review.changes() for hunk in change.hunks for line in hunk.lines]
        removed, added = ({line.text for line in lines if line.kind == kind} for kind in ("removed", "added"))
        return removed, added


def _image(lines: tuple[str, ...]) -> FileImage:
    return FileImage("".join(f"{line}\n" for line in lines).encode())


@dataclass
class Line:
    """A line of the model: who put it in and who took it out."""

    text: str
    owner: str = ""
    taken_by: str = ""


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_undone_by_any_means_is_not_under_review(data: st.DataObject) -> None:
    """Held against a model in which each line is there once and knows its owner: only what the agent removed
    and is not back, and what it added and is still there, is under review."""
    # Parts of a file, with a line between them that nobody touches.
    parts = [
        [Line(f"line {part} {number}") for number in range(data.draw(st.integers(0, 5)))] for part in range(3)
    ]

    def write(owner: str) -> None:
        texts = [text for part in parts for text in ("", *(line.text for line in part if not line.taken_by))]
        note(f"{owner}: {texts}")
        bench.agent(*texts) if owner == "agent" else bench.user(*texts)

    bench = Bench(*(text for part in parts for text in ("", *(line.text for line in part))))
    for step in range(data.draw(st.integers(1, 6))):
        owner = data.draw(st.sampled_from(["agent", "agent", "own"]))
        lines = data.draw(st.sampled_from(parts))
        here = [number for number, line in enumerate(lines) if not line.taken_by]
        at = data.draw(st.integers(0, len(here)))
        for number in here[at : at + data.draw(st.integers(0, 2))]:
            # What the user makes of the agent's own lines stays the agent's hunk.
            if owner == "agent" or lines[number].owner != "agent":
                lines[number].taken_by = owner
        place = here[at] if at < len(here) else len(lines)
        # What the user puts in the place of the agent's edit stays that edit's hunk, too.
        start = here[at - 1] if at and at - 1 < len(here) else 0
        around = lines[start : place + 1]
        if owner == "agent" or not any("agent" in (line.owner, line.taken_by) for line in around):
            count = data.draw(st.integers(0, 2))
            lines[place:place] = [Line(f"{owner} {step} {number}", owner) for number in range(count)]
        write(owner)
        if owner == "own" or data.draw(st.booleans()):
            bench.review.changes()
    for part in parts:
        is_undone = data.draw(st.booleans())
        for line in part:
            if line.owner == "agent":
                line.taken_by = line.taken_by or ("own" if is_undone else "")
            elif line.taken_by == "agent":
                line.taken_by = "" if is_undone else "agent"
            elif not line.taken_by and data.draw(st.booleans()):
                line.taken_by = "own"
    write("own")
    if data.draw(st.booleans()):
        bench.review = Review(NOWHERE, bench.store.again(), bench.disk)
    lines = [line for part in parts for line in part]
    removed = {line.text for line in lines if line.owner != "agent" and line.taken_by == "agent"}
    added = {line.text for line in lines if line.owner == "agent" and not line.taken_by}
    assert bench.shown() == (removed, added)


def test_an_own_line_beside_the_agents_goes_with_a_checkout() -> None:
    bench = Bench("1", "2", "mine", "3")
    bench.agent("1", "two", "mine", "3")
    keep_all(bench.review)
    bench.user("1", "2", "3")
    assert bench.review.changes() == ()
    assert not bench.review.hunk_ids()


def test_an_own_removal_comes_back_with_a_checkout() -> None:
    # The user had taken out "2", and the agent wrote in its place.
    bench = Bench("1", "3")
    bench.agent("1", "agent's own words", "3")
    bench.user("1", "2", "3")
    assert bench.review.changes() == ()


def test_a_file_that_is_taken_in_may_take_another_off_the_review() -> None:
    bench = Bench("1", "2", "3")
    image = bench.disk.read(PATH)

    def agent(path: str, after: FileImage | None) -> None:
        bench.review.record(path, bench.disk.read(path), after)
        bench.disk.put(path, after)

    bench.review.begin_turn(1)
    agent("b", image)
    agent(PATH, None)  # with the line before, a rename
    bench.review.end_turn(1)
    bench.review.begin_turn(2)
    agent(PATH, image)
    agent("b", FileImage(b"other\n"))
    bench.disk.put("b", None)
    bench.review.end_turn(2)
    # Both files go again; what then is left of the rename is the removal of the one.
    bench.disk.put(PATH, None)
    assert [(change.path, change.kind) for change in bench.review.changes()] == [(PATH, "deleted")]


def test_what_is_stashed_is_under_review_again_when_it_is_back() -> None:
    bench = Bench("1", "2", "mine", "3", "4")
    bench.agent("1", "two", "mine", "3", "4")
    keep_all(bench.review)
    bench.agent("1", "two", "mine", "3", "four")
    shown = bench.review.changes()
    bench.user("1", "2", "3", "4")
    assert bench.review.changes() == ()
    bench.user("1", "two", "mine", "3", "four")
    assert bench.review.changes() == shown
    bench.disk.put(PATH, None)
    assert bench.review.changes() == ()
    bench.review.undo()
    bench.user("1", "two", "mine", "3", "four")
    assert [hunk.decision for hunk in bench.review.changes()[0].hunks] == ["pending", "pending"]


def test_an_edit_of_the_agents_line_is_still_its_hunk() -> None:
    bench = Bench("1", "2", "mine", "3")
    bench.agent("1", "return first(two)", "mine", "3")
    bench.user("1", "return last(two)", "3")
    assert bench.shown() == ({"2"}, {"return last(two)"})


def test_what_was_rejected_leaves_a_trace_from_which_it_comes_back() -> None:
    before = [*"12345678"]
    bench = Bench(*before)
    bench.agent("1", "two", *"34567", "eight")
    first, second = bench.review.changes()[0].hunks
    bench.review.reject(frozenset({first.id}))
    trace, _ = bench.review.changes_and_traces()[0].hunks
    assert trace.decision == "rejected"
    assert [(line.kind, line.text) for line in trace.lines[1:3]] == [("removed", "2"), ("added", "two")]
    assert len(bench.review.changes()[0].hunks) == 1
    # What the user writes above moves it; nothing is left to undo once the rest is off the list.
    bench.user("0", *before[:-1], "eight")
    bench.review.keep(frozenset({second.id}))
    bench.review.put_away()
    bench.review.feedback()
    bench.review = Review(NOWHERE, bench.store.again(), bench.disk)
    assert bench.review.changes() == ()
    (change,) = bench.review.changes_and_traces()
    bench.review.bring_back(frozenset(hunk.id for hunk in change.hunks))
    assert bench.disk.read(PATH) == _image(("0", "1", "two", *before[2:-1], "eight"))
    assert [hunk.decision for hunk in bench.review.changes_and_traces()[0].hunks] == ["kept"]
    assert bench.review.undo() == "Undone: brought back 1 hunk"
    assert bench.disk.read(PATH) == _image(("0", *before[:-1], "eight"))
    # A new review begins.
    bench.review.begin_turn(1)
    bench.review.end_turn(1)
    assert bench.review.changes_and_traces() == ()


def test_the_agent_is_not_told_of_what_was_brought_back() -> None:
    bench = Bench("1", "2")
    bench.agent("1", "two")
    bench.review.reject(bench.review.hunk_ids())
    (change,) = bench.review.changes_and_traces()
    bench.review.bring_back(frozenset({change.hunks[0].id}))
    assert bench.review.feedback() == ""
    bench.review.undo()
    assert "+two" in bench.review.feedback()
