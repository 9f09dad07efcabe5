"""A subset of the hunks is what rejecting the others would leave, and making it changes nothing."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from app.review.model import FileImage
from app.review.needed.search import Search
from app.review.needed.test_files import is_test_file
from tests.app.review.log.test_decisions import QUICK, Bench, benches
from tests.app.review.needed.test_search import patch_of


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


def test_verdicts_on_real_hunks_are_those_of_what_their_files_hold() -> None:
    tried = 0
    for seed in range(200):
        patch = patch_of(Random(seed))
        if patch.rests_on:  # what is pending and rests on one another is one hunk
            continue
        places = {name: f"slot {number}" for number, name in enumerate(patch.hunks)}
        files = {"tests/t": "", "code": ""}
        for name, slot in places.items():
            files["tests/t" if name in patch.tests else "code"] += "same\n" * 8 + f"{slot}\n"
        bench = Bench({path: FileImage(text.encode()) for path, text in files.items()})
        for name, slot in places.items():
            path = "tests/t" if name in patch.tests else "code"
            files[path] = files[path].replace(f"{slot}\n", f"{name}\n")
            bench.agent_writes(path, FileImage(files[path].encode()))
        subsets = bench.review.subsets()
        names = {
            hunk.id: line.text
            for _, hunk in subsets.hunks.values()
            for line in hunk.lines
            if line.kind == "added"
        }
        tests = {hunk for hunk, (path, _) in subsets.hunks.items() if is_test_file(path)}
        search = Search(list(subsets.hunks), subsets.rests_on, tests)
        steps = search.steps()
        try:
            kept = next(steps)
            while True:
                made = subsets.files(kept).values()
                held = {line for image in made if image for line in image.data.decode().split("\n")}
                kept = steps.send(patch.passes(frozenset(held & set(patch.hunks))))
        except StopIteration:
            pass
        if search.reference is not None:
            tried += 1
            assert {names[hunk]: verdict for hunk, verdict in search.verdicts.items()} == patch.expected
            assert {names[hunk] for hunk in search.smallest or ()} == patch.needed | patch.tests
    assert tried > 60


def test_files_of_tests_are_known_by_their_names() -> None:
    tests = "tests/a.py test_a.py a_test.go src/a.test.ts a-spec.rb spec/a.rb ATest.java conftest.py Test.cs"
    others = "src/a.py attest.py contest.go latest.js testimony.py specs.md.py protest/a.py"
    assert all(map(is_test_file, tests.split()))
    assert not any(map(is_test_file, others.split()))
