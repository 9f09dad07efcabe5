"""Paths are found by some of their letters, best first."""

import time

from hypothesis import given
from hypothesis import strategies as st

from app.workspace.search.fuzzy import Paths

PATHS = ["app/ui/panes/review/pane.py", "app/review.py", "tests/test_review.py", "app/reading/vine.py", "a.py"]


def test_the_better_a_path_fits_the_further_up_it_is() -> None:
    paths = Paths(PATHS)
    assert paths.find("review", 9) == ["app/review.py", "tests/test_review.py", "app/ui/panes/review/pane.py"]
    assert paths.find("rvpane", 9) == ["app/ui/panes/review/pane.py"]
    assert paths.find("A PY", 1) == ["a.py"]
    assert paths.find("", 2, ["gone.py", "app/review.py"]) == ["app/review.py", "a.py"]
    assert paths.find("review", 1, ["tests/test_review.py"]) == ["app/review.py"]
    assert paths.find("e.py", 1, ["app/ui/panes/review/pane.py"]) == ["app/ui/panes/review/pane.py"]


@given(st.lists(st.text("ab/.", min_size=1, max_size=6), unique=True), st.lists(st.text("ab.", max_size=4)))
def test_exactly_the_paths_with_the_letters_in_order_are_found(names: list[str], queries: list[str]) -> None:
    paths = Paths(names)
    for query in queries:
        letters = [iter(name) for name in names]
        expected = {
            name for name, left in zip(names, letters, strict=True) if all(letter in left for letter in query)
        }
        assert set(paths.find(query, len(names))) == expected


def test_a_key_takes_no_longer_than_a_few_passes_over_the_paths() -> None:
    names = [f"src/{n % 97}/module_{n % 31}/file_{n}.py" for n in range(50_000)]

    def seconds(work: object) -> float:
        begun = time.process_time()
        work()  # type: ignore[operator]
        return time.process_time() - begun

    paths = Paths(names)
    one_pass = min(seconds(lambda: sorted(names, key=str.casefold)) for _ in range(3))
    for query in ("m", "mo", "mod", "md1", "md12"):
        assert min(seconds(lambda query=query: paths.find(query, 50)) for _ in range(3)) < 6 * one_pass
