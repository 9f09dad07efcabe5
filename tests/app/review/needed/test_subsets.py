"""A subset of the hunks is what rejecting the others would leave, and making it changes nothing."""

from hypothesis import given
from hypothesis import strategies as st

from app.review.model import FileImage
from app.review.needed.test_files import is_test_file
from tests.app.review.log.test_decisions import QUICK, Bench, benches


@given(benches(), st.data())
@QUICK
def test_a_subset_is_what_rejecting_the_rest_would_leave(
    made: tuple[Bench, dict[str, FileImage]], data: st.DataObject
) -> None:
    bench, _ = made
    names = sorted(bench.hunks())
    if names:
        bench.review.keep(frozenset(data.draw(st.sets(st.sampled_from(names)))))
    subsets = bench.review.subsets()
    assert sorted(subsets.hunks) == sorted(bench.hunks())
    movable = sorted(subsets.movable)
    before = dict(bench.disk.files)
    assert subsets.files(frozenset(movable)) == {path: before.get(path) for path in subsets.paths}
    out = set(data.draw(st.sets(st.sampled_from(movable)))) if movable else set()
    kept = frozenset(movable) - out
    files = subsets.files(kept)
    assert bench.disk.files == before
    if out:
        bench.review.reject(frozenset(out))
    after = bench.disk.files
    assert files == {path: after.get(path) for path in subsets.paths}
    assert {path: image for path, image in after.items() if path not in subsets.paths} == {
        path: image for path, image in before.items() if path not in subsets.paths
    }
    # What rests on a hunk goes with it: leaving that out as well makes no difference.
    above = {name for name in movable if subsets.rests_on[name] & out}
    assert subsets.files(kept - above) == files


def test_files_of_tests_are_known_by_their_names() -> None:
    tests = "tests/a.py test_a.py a_test.go src/a.test.ts a-spec.rb spec/a.rb ATest.java conftest.py Test.cs"
    others = "src/a.py attest.py contest.go latest.js testimony.py specs.md.py protest/a.py"
    assert all(map(is_test_file, tests.split()))
    assert not any(map(is_test_file, others.split()))
