"""Definitions are read before their uses, tests beside what they test, and what the agent proposes first."""

from hypothesis import given
from hypothesis import strategies as st

from app.review.model import Hunk
from app.review.reading.order import HunkFacts, default_order, facts_of, next_in, proposed_order
from app.workspace.search.symbols import symbols_of
from tests.support.review.diffs import changes_of

BEFORE = "def area(w, h):\n    return w * h\n" + "\n" * 9 + "def show(x):\n    print(x)\n"
AFTER = "def area(w, h):\n    return scaled(w) * h\n" + "\n" * 9 + "def show(x):\n    print(area(x, x))\n"
FILES = {
    "a/app.py": (BEFORE, AFTER),
    "b/scale.py": ("", "def scaled(x):\n    return 2 * x\n"),
    "tests/test_scale.py": ("", "def test_it():\n    assert scaled(2) == 4\n"),
    "tests/test_app.py": ("", "import unittest\n"),
    "z.md": ("", "Words.\n"),
}


def facts_in(files: dict[str, tuple[str, str]]) -> list[HunkFacts]:
    return [
        facts_of(
            change.path,
            hunk,
            [(symbol.line, symbol.name) for symbol in symbols_of(change.path, files[change.path][1].encode())],
        )
        for change in changes_of(files)
        for hunk in change.hunks
    ]


def test_definitions_come_before_uses_and_tests_beside_what_they_test() -> None:
    facts = facts_in(FILES)
    places = {one.hunk.id: (one.path, one.hunk.after_start) for one in facts}
    order = default_order(facts)
    assert [places[name] for name in order] == [
        ("b/scale.py", 1),
        ("tests/test_scale.py", 1),
        ("a/app.py", 1),
        ("a/app.py", 10),
        ("tests/test_app.py", 1),
        ("z.md", 1),
    ]
    proposed = proposed_order(["z.md", "a/app.py:12", "gone.py", "a/app.py"], facts, order)
    assert [places[name] for name in proposed] == [
        ("z.md", 1),
        ("a/app.py", 10),
        ("a/app.py", 1),
        ("b/scale.py", 1),
        ("tests/test_scale.py", 1),
        ("tests/test_app.py", 1),
    ]
    assert next_in(order, order[1], 1) == order[2] and next_in(order, order[0], -1) is None
    assert next_in(order, "gone", 1) == order[0] and next_in(order, "", 1, {order[3]}) == order[3]


NAMES = st.frozensets(st.sampled_from("abcdef"), max_size=3)


@given(st.lists(st.tuples(st.sampled_from(["x.py", "y.py", "test_x.py"]), NAMES, NAMES), max_size=9))
def test_every_hunk_comes_once_and_no_use_before_its_definition_but_in_circles(
    made: list[tuple[str, frozenset[str], frozenset[str]]],
) -> None:
    facts = [
        HunkFacts(Hunk(str(number), 1, 1, 1, 1, ()), path, defines, mentions)
        for number, (path, defines, mentions) in enumerate(made)
    ]
    order = default_order(facts)
    assert sorted(order) == sorted(one.hunk.id for one in facts)
    code = {one.hunk.id: one for one in facts if one.path != "test_x.py"}

    def uses_of(one: HunkFacts) -> set[str]:
        wanted = one.mentions - one.defines
        return {name for name, other in code.items() if other is not one and wanted & other.defines}

    uses = {name: uses_of(one) for name, one in code.items()}

    def reaches(start: str, goal: str) -> bool:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for name in uses[waiting.pop()] - seen:
                seen.add(name)
                waiting.append(name)
        return goal in seen

    # Where no hunk rests on a circle, each comes after all that it uses.
    if not any(reaches(name, name) for name in code):
        assert all(order.index(other) < order.index(name) for name in code for other in uses[name])
