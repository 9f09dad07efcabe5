"""What others than the user say about hunks is kept, and shown where the hunk is for as long as it is there."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from app.review.log.store import review_directory
from app.review.model import FileImage, Remark
from app.review.remarks.model import Answer, Note
from app.review.remarks.store import MOST_REMARKS, RemarkStore
from app.review.review import Review

WORDS = st.text(st.characters(exclude_categories=()), min_size=1, max_size=20)
NOTE = Note(0, "a.py", 3, "x = 1", "Sets x.", hunk="1.0")


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.builds(Note, st.just(0), WORDS, st.integers(0, 9), WORDS, WORDS, hunk=WORDS, is_done=st.booleans())
        | st.builds(Answer, st.just(0), WORDS, st.integers(0, 9), WORDS, WORDS, WORDS, question=WORDS),
        max_size=5,
    )
)
def test_two_windows_and_the_next_start_read_what_was_said(tmp_path_factory, said: list[Remark]) -> None:
    file = tmp_path_factory.mktemp("remarks") / "remarks.jsonl"
    one, other = RemarkStore(file), RemarkStore(file)
    kept = [(one, other)[number % 2].add(remark) for number, remark in enumerate(said)]
    assert one.all() == other.all() == RemarkStore(file).all() == tuple(kept)
    assert len({remark.id for remark in kept}) == len(kept)


def test_a_damaged_line_costs_its_remark_alone(tmp_path: Path) -> None:
    store = RemarkStore(tmp_path / "remarks.jsonl")
    first, second = store.add(NOTE), store.add(NOTE)
    whole = (tmp_path / "remarks.jsonl").read_bytes()
    (tmp_path / "remarks.jsonl").write_bytes(whole.replace(b"Sets", b"Gets", 1) + b'{"kind": "no')
    third = store.add(NOTE)
    assert store.all() == (second, third) and store.lost == 2
    store.change(second, "Other words.")
    store.change(third, "")
    assert [remark.text for remark in RemarkStore(tmp_path / "remarks.jsonl").all()] == ["Other words."]
    assert first.id != second.id


def test_a_remark_dies_with_its_hunk_and_the_newest_stay(tmp_path: Path) -> None:
    review = Review(tmp_path)
    review.begin_turn(1)
    review.record("a.py", None, FileImage(b"x = 1\n"))
    (tmp_path / "a.py").write_text("x = 1\n")
    review.end_turn(1)
    (hunk,) = review.changes()[0].hunks
    on_it = review.remarks.add(Note(0, "a.py", 1, "x = 1", "It is one.", hunk=hunk.id))
    gone = review.remarks.add(Note(0, "a.py", 1, "x = 1", "It was.", hunk="99.0"))
    elsewhere = review.remarks.add(Answer(0, "b.py", 1, "", "Because.", source="commit abc", hunk="7"))
    assert review.remarks.all() == (on_it, gone, elsewhere)
    assert Review(tmp_path).remarks.all() == (on_it, elsewhere)
    file = review_directory(tmp_path) / "remarks.jsonl"
    file.write_bytes(file.read_bytes() * (MOST_REMARKS // 2))
    for _ in range(2):
        review.remarks.add(NOTE)
    assert len(review.remarks.all()) == 4
