"""Which trial is taken, and which is stopped."""

from __future__ import annotations

import pytest

from sightline.evaluate.prices import Prices
from sightline.train.search.cost import cheapest
from sightline.train.search.folds import Bench, Judged
from sightline.train.search.result import SearchTrial
from sightline.train.search.selection import choose, dominated, pareto_front
from sightline.train.search.trial import Outcome

GOOD, BAD = 40, 20
PRICES = Prices()
BENCH = Bench("plates", (), (), (), (0, 1), tuple(Judged(i, i, i % 2, i >= GOOD) for i in range(GOOD + BAD)), 100.0, 0)


def scores(missed: range) -> tuple[float, ...]:
    """Defective parts score 5, missed ones below every good part."""
    return tuple(float(i % 7) / 10 if i < GOOD else -1.0 if i - GOOD in missed else 5.0 for i in range(GOOD + BAD))


def trial(number: int, missed: range, ms: float, default: bool = False) -> SearchTrial:
    own = scores(missed)
    cost = cheapest(own, BENCH.defective(), PRICES)
    return SearchTrial(number, "finished", {}, cost, ms, 1.0, default=default, scores=own)


def test_the_front_is_what_nothing_beats() -> None:
    trials = [trial(0, range(2), 10), trial(1, range(0), 30), trial(2, range(2), 20), trial(3, range(0), 40)]
    failed = SearchTrial(4, "failed", {}, None, None, 0.0, "no")
    assert [t.number for t in pareto_front([*trials, failed])] == [0, 1]


def test_of_equally_cheap_ones_the_fastest_is_chosen() -> None:
    chosen, why = choose([trial(0, range(0), 30, default=True), trial(1, range(0), 10)], BENCH, PRICES)
    assert chosen.number == 1
    assert "The default settings cost 0" in why


def test_a_faster_one_within_the_noise_is_chosen_and_the_reason_names_it() -> None:
    # Each misses other parts: two against one is chance.
    chosen, why = choose([trial(0, range(1), 30), trial(1, range(5, 7), 10)], BENCH, PRICES)
    assert chosen.number == 1
    assert "not distinguishable" in why


def test_a_faster_one_that_is_worse_on_the_same_parts_is_not() -> None:
    chosen, why = choose([trial(0, range(0), 30), trial(1, range(4), 10)], BENCH, PRICES)
    assert chosen.number == 0
    assert "It is the cheapest" in why


def outcome(missed: range, ms: float, pictures: int = GOOD + BAD) -> Outcome:
    return Outcome(scores(missed)[:pictures], (ms,))


def test_a_trial_that_is_clearly_worse_and_slower_is_stopped_with_the_reason() -> None:
    found = dominated(outcome(range(9), 50.0), [(7, outcome(range(0), 20.0))], BENCH, PRICES)
    assert found is not None and found[0] == 7
    assert "trial 7" in found[1] and "50 ms against 20 ms" in found[1]


@pytest.mark.parametrize(
    ("mine", "ms"),
    [(range(9), 21.0), (range(2), 50.0), (range(0), 50.0)],
    ids=["worse but hardly slower", "two more errors are chance", "slower but as good"],
)
def test_less_than_a_clear_margin_goes_on(mine: range, ms: float) -> None:
    assert dominated(outcome(mine, ms), [(7, outcome(range(0), 20.0))], BENCH, PRICES) is None


def test_only_the_same_pictures_are_compared() -> None:
    observed = GOOD + 10
    late = outcome(range(10, 20), 20.0)  # the other's errors come later
    found = dominated(outcome(range(9), 50.0, observed), [(7, late)], BENCH, PRICES)
    assert found is not None and f"{observed} pictures" in found[1]
