"""What hunks are to the tests: all verdicts right where the runs suffice, and none wrong where they do not."""

from dataclasses import dataclass, field
from random import Random

from app.review.needed.delta_debugging import minimized
from app.review.needed.search import Search, Verdict

PATCHES = 200


@dataclass
class Patch:
    """A patch of known structure. The tests pass with a set of its hunks if it has no harmful one, each hunk's
    partner, and all that is needed, as far as the tests that need it are there."""

    hunks: list[str] = field(default_factory=list)
    needed: set[str] = field(default_factory=set)
    harmful: set[str] = field(default_factory=set)
    partners: dict[str, str] = field(default_factory=dict)  # by the hunk that fails without the other
    rests_on: dict[str, set[str]] = field(default_factory=dict)
    tests: set[str] = field(default_factory=set)
    expected: dict[str, Verdict | None] = field(default_factory=dict)

    def passes(self, kept: frozenset[str]) -> bool:
        assert all(self.rests_on.get(hunk, set()) <= kept for hunk in kept), "no such set can be built"
        demanded = not self.tests or self.tests & kept
        return (
            not kept & self.harmful
            and all(self.partners[hunk] in kept for hunk in kept if hunk in self.partners)
            and (not demanded or self.needed <= kept)
        )


def patch_of(random: Random) -> Patch:
    patch = Patch()
    # Either the patch brings the test that needs it, or a test was failing before.
    brings_test = random.random() < 0.6
    kinds = ["needed", "harmless", "harmful", "pair", "rests", "rests on harm"]
    for number, kind in enumerate(random.choices(kinds, [4, 4, 2, 2, 2, 1], k=random.randint(1, 9))):
        name, other = f"{kind} {number}", f"{kind} {number} below"
        match kind:
            case "needed":
                patch.needed.add(name)
                patch.expected[name] = "needed"
            case "harmless":
                patch.expected[name] = "tests indifferent"
            case "harmful":
                patch.harmful.add(name)
                patch.expected[name] = "breaks the tests"
            case "pair":
                patch.partners[name] = other
                patch.expected |= {name: "fails alone", other: "needed"}
            case "rests":
                patch.rests_on[name] = {other}
                patch.expected |= {name: "tests indifferent", other: "tests indifferent"}
            case "rests on harm":
                patch.rests_on[name] = {other}
                patch.harmful.add(other)
                patch.expected |= {name: "fails alone", other: "breaks the tests"}
    if brings_test:
        patch.tests.add("test")
        patch.expected["test"] = "fails alone" if patch.needed else "tests indifferent"
    elif patch.needed:
        # Without any hunk the tests fail, so that failing alone says nothing of a hunk of the reference.
        patch.expected |= dict.fromkeys(patch.partners, "tests indifferent")
    patch.hunks = list(patch.expected)
    random.shuffle(patch.hunks)
    return patch


def searched(patch: Patch, runs: int) -> tuple[Search, int]:
    """A search of at most so many runs, and how many it took."""
    search = Search(patch.hunks, patch.rests_on, patch.tests)
    steps = search.steps()
    asked: list[frozenset[str]] = []
    try:
        kept = next(steps)
        while len(asked) < runs:
            asked.append(kept)
            kept = steps.send(patch.passes(kept))
    except StopIteration:
        pass
    assert len(set(asked)) == len(asked), "no set is tried twice"
    return search, len(asked)


def test_all_verdicts_are_right_where_the_runs_suffice_and_none_is_wrong_where_they_do_not() -> None:
    whole = undecided = 0
    for seed in range(PATCHES):
        patch = patch_of(Random(seed))
        search, runs = searched(patch, 10_000)
        # With a test that fails before, and harm as well, there may be no set to begin at.
        if search.reference is None:
            assert not search.verdicts and search.smallest is None
            undecided += 1
            continue
        whole += 1
        assert search.verdicts == patch.expected, (seed, patch)
        assert search.smallest == frozenset(patch.needed | patch.tests), (seed, patch)
        for most in range(runs):
            early, _ = searched(patch, most)
            assert early.verdicts.items() <= patch.expected.items(), (seed, most)
            assert early.smallest in (None, search.smallest)
    assert whole > PATCHES * 0.8, "mostly there is something to decide"
    assert undecided


def test_what_is_minimized_keeps_its_property_and_loses_it_without_any_one_item() -> None:
    random = Random(7)
    for _ in range(300):
        items = [str(number) for number in range(random.randint(1, 20))]
        # Not monotone: any of these sets has the property, and what has an odd number of others as well.
        cores = [frozenset(random.sample(items, random.randint(0, min(4, len(items))))) for _ in range(2)]

        def has(found: frozenset[str], cores: list[frozenset[str]] = cores) -> bool:
            return any(core <= found and len(found - core) % 3 != 1 for core in cores)

        if not has(frozenset(items)):
            continue

        def test(found: frozenset[str]):
            return (yield found)

        steps = minimized(items, test)
        try:
            found = next(steps)
            while True:
                found = steps.send(has(found))
        except StopIteration as end:
            least = end.value
        assert has(least) and not any(has(least - {item}) for item in least)
