"""The controller on an invented machine: it finds what is fastest there, and notices when that changes."""

import random
from collections.abc import Callable

import pytest

from mlx_model.decode.controller import Controller, narrow_passes
from mlx_model.decode.drafting import Step

Rates = dict[str, float]
Costs = Callable[[str, int], float]


def tokens_per_second(
    controller: Controller,
    rates: Callable[[int], Rates],
    cost: Costs,
    passes: int = 6000,
) -> tuple[float, dict[str, int]]:
    """Passes through a machine on which a draft of each source is accepted at a given rate, which may depend on
    the pass, and a pass takes `cost(source, width)` times a plain one. Tokens for the time of a plain pass, and
    how often each source was followed."""
    chance, plain = random.Random(1), 0.01
    deepest = {"lookup": 16, "mtp": 4}
    tokens, seconds = 0, 0.0
    followed = dict.fromkeys(["none", *deepest], 0)
    for number in range(passes):
        rate = rates(number)
        plan = controller.plan(dict.fromkeys(rate, 0), deepest)
        noise = 1 + 0.05 * chance.random()
        if plan is None:
            step = Step(None, None, 0, 0, plain * noise)
        else:
            accepted = 0
            while accepted < plan.depth and chance.random() < rate[plan.source]:
                accepted += 1
            took = plain * cost(plan.source, 1 + plan.depth) * noise
            step = Step(plan.source, 0, plan.depth, accepted, took)
        controller.record(step)
        followed[step.source or "none"] += 1
        tokens += 1 + step.accepted
        seconds += step.seconds
    return tokens / seconds * plain * 1.025, followed


def linear(share: float) -> Costs:
    return lambda _source, width: 1 + share * (width - 1)


def best_possible(rate: float, share: float, deepest: int) -> float:
    """Tokens for the time of a plain pass, at the best fixed depth."""
    return max(
        sum(rate**place for place in range(depth + 1)) / (1 + share * depth) for depth in range(deepest + 1)
    )


@pytest.mark.parametrize("share", [0.02, 0.15, 0.45])
@pytest.mark.parametrize("rate", [0.3, 0.8, 0.97])
def test_it_comes_near_the_best_fixed_depth(rate: float, share: float) -> None:
    speed, _ = tokens_per_second(Controller(), lambda _: {"lookup": rate}, linear(share))
    assert speed > 0.93 * best_possible(rate, share, 16)


@pytest.mark.parametrize("rate", [0.6, 0.9])
def test_a_pass_beyond_the_narrow_kernel_says_nothing_of_passes_within(rate: float) -> None:
    def cost(_source: str, width: int) -> float:
        return 1 + 0.03 * (width - 1) + (2.5 if width > 4 else 0)

    best = max(sum(rate**place for place in range(width)) / cost("", width) for width in range(1, 18))
    speed, _ = tokens_per_second(Controller(narrow=4), lambda _: {"lookup": rate}, cost)
    unaware, _ = tokens_per_second(Controller(), lambda _: {"lookup": rate}, cost)
    assert speed > 0.93 * best
    assert speed >= unaware
    # With 16 query heads and 2 key heads, as published.
    assert narrow_passes(16, 2) == 4


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3])
def test_where_drafting_does_not_pay_it_costs_less_than_three_percent(rate: float) -> None:
    controller = Controller()
    speed, followed = tokens_per_second(controller, lambda _: {"lookup": rate, "mtp": rate}, linear(0.5))
    assert speed > 0.97
    assert followed["none"] > 0.97 * 6000
    # It has not given up for good.
    assert followed["lookup"] >= 3


def test_a_source_that_does_not_pay_is_shown_few_passes_and_one_that_does_all() -> None:
    for rate, low, high in ((0.0, 0.0, 0.2), (0.9, 1.0, 1.0)):
        controller = Controller()
        shown: list[bool] = []

        def rates(_: int, rate: float = rate, shown: list[bool] = shown, ask: Controller = controller) -> Rates:
            shown.append(ask.follows("mtp"))
            return {"mtp": rate}

        tokens_per_second(controller, rates, linear(0.3))
        assert low <= sum(shown) / len(shown) <= high
        assert shown[0]


def test_of_two_sources_it_follows_the_better_one_until_the_text_changes() -> None:
    def rates(number: int) -> Rates:
        return {"lookup": 0.95, "mtp": 0.7} if number % 2000 < 1000 else {"lookup": 0.05, "mtp": 0.7}

    _, early = tokens_per_second(Controller(), rates, linear(0.1), passes=1000)
    assert early["lookup"] > 850
    _, late = tokens_per_second(Controller(), rates, linear(0.1), passes=2000)
    assert late["mtp"] > 850


def test_it_starts_again_when_drafts_become_good() -> None:
    _, followed = tokens_per_second(
        Controller(), lambda number: {"mtp": 0.05 if number < 1000 else 0.9}, linear(0.3), passes=4000
    )
    assert followed["mtp"] > 1800


def test_a_slow_first_pass_does_not_decide() -> None:
    """Kernels are compiled the first time that a width is seen."""
    seen: set[int] = set()

    def cost(_source: str, width: int) -> float:
        first = width not in seen
        seen.add(width)
        return 40.0 if first else 1 + 0.05 * (width - 1)

    _, followed = tokens_per_second(Controller(), lambda _: {"lookup": 0.9}, cost, passes=3000)
    assert followed["lookup"] > 2000


def test_a_source_that_was_asked_for_is_followed_even_where_it_does_not_pay() -> None:
    _, followed = tokens_per_second(Controller(may_stop=False), lambda _: {"mtp": 0.0}, linear(0.5), passes=300)
    assert followed == {"none": 0, "lookup": 0, "mtp": 300}


@pytest.mark.parametrize(("comes", "waits"), [(0.2, False), (0.95, True)])
def test_it_waits_for_drafts_where_they_make_good_what_waiting_in_vain_costs(comes: float, waits: bool) -> None:
    """At every other token some text is quoted, with luck; if it is, the drafts after it are good."""
    controller, chance, deepest = Controller(), random.Random(2), {"lookup": 16}
    tokens, seconds, waited, places = 0, 0.0, 0, 0
    for _ in range(4000):
        quotes, comes_true = chance.random() < 0.5, chance.random() < comes
        is_awaited = quotes and controller.worth_stalling({"lookup": 0}, deepest)
        plan = controller.plan({"lookup": 0}, deepest) if is_awaited and comes_true else None
        if plan is None:
            step = Step(None, None, 0, 0, 1.5 if is_awaited else 1.0, stalled=is_awaited)
        else:
            accepted = next((n for n in range(plan.depth) if chance.random() > 0.8), plan.depth)
            step = Step("lookup", 0, plan.depth, accepted, 1.1 + 0.1 * plan.depth)
        controller.record(step)
        if quotes and plan is None:
            controller.judge("lookup", 0, comes_true)
        tokens, seconds = tokens + 1 + step.accepted, seconds + step.seconds
        waited, places = waited + is_awaited, places + quotes
    if waits:
        assert tokens > 1.5 * seconds and waited > 0.9 * places
    else:
        assert tokens > 0.97 * seconds and waited < 0.1 * places


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6])
def test_after_a_long_context_it_soon_knows_what_passes_cost_in_a_short_one(share: float) -> None:
    controller, chance = Controller(), random.Random(1)
    for seconds, rate in ((0.03, 0.6), (0.01, 0.2)):
        tokens, spent = 0, 0.0
        for _ in range(400):
            plan = controller.plan({"lookup": 0}, {"lookup": 16})
            depth = 0 if plan is None else plan.depth
            accepted = next((place for place in range(depth) if chance.random() > rate), depth)
            took = (seconds + 0.01 * share * depth) * (1 + 0.05 * chance.random())
            controller.record(Step("lookup" if depth else None, 0 if depth else None, depth, accepted, took))
            tokens, spent = tokens + 1 + accepted, spent + took
    assert tokens > 0.95 * spent / seconds / 1.025
