"""Two recipes on the same parts."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
from sklearn import metrics as sk

from sightline.evaluate.metrics.image import image_auroc
from sightline.evaluate.statistics.comparison_tests import auroc_difference, conclude, mcnemar


def split(both, first, second, neither):
    one = [True] * (both + first) + [False] * (second + neither)
    two = [True] * both + [False] * first + [True] * second + [False] * neither
    return mcnemar(one, two)


def p_by_enumeration(first, second):
    """Every way the coins can fall that is at least as uneven as what was seen."""
    total = first + second
    uneven = abs(first - second)
    falls = [abs(2 * sum(coins) - total) >= uneven for coins in product((0, 1), repeat=total)]
    return sum(falls) / len(falls)


def scores(seed=0, parts=240, gain=2.5):
    random = np.random.default_rng(seed)
    bad = np.arange(parts) % 3 == 0
    first = random.normal(size=parts) + bad
    return first, first + gain * bad + random.normal(0, 0.3, parts), bad, [f"lot {n // 8}" for n in range(parts)]


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (5, 1), (4, 4), (0, 9), (7, 3)])
def test_mcnemar_equals_counting_all_outcomes(first: int, second: int) -> None:
    found = split(3, first, second, 2)
    assert (found.both, found.only_first, found.only_second, found.neither) == (3, first, second, 2)
    assert found.parts == 5 + first + second
    assert found.p_value == pytest.approx(p_by_enumeration(first, second))


def test_mcnemar_by_hand_and_with_many_parts() -> None:
    assert split(10, 6, 0, 0).p_value == 2 / 64
    assert split(0, 2000, 2000, 0).p_value == 1.0
    assert 0.0 <= split(0, 3000, 0, 0).p_value < 1e-300
    assert json.loads(json.dumps(split(1, 2, 3, 4).to_json()))["only_second"] == 3


def test_the_auroc_difference_and_its_interval() -> None:
    first, second, bad, lots = scores()
    found = auroc_difference(first, second, bad, groups=lots)
    assert (found.first, found.second) == (
        pytest.approx(sk.roc_auc_score(bad, first)), pytest.approx(image_auroc(second, bad))
    )  # fmt: skip
    assert found.value == pytest.approx(found.second - found.first)
    assert 0 < found.lower < found.value < found.upper
    assert (found.parts, found.groups, found.grouped) == (240, 30, True)
    assert found == auroc_difference(first, second, bad, groups=lots)
    assert found != auroc_difference(first, second, bad, groups=lots, seed=1)
    turned = auroc_difference(second, first, bad, groups=lots)
    assert (turned.value, turned.lower) == (pytest.approx(-found.value), pytest.approx(-found.upper))
    assert json.loads(json.dumps(found.to_json()))["metric"] == "AUROC"


def test_the_pairing_is_used_so_a_shared_error_cancels() -> None:
    first, _, bad, _ = scores()
    found = auroc_difference(first, first + 0.05 * bad, bad)
    assert found.upper - found.lower < 0.03


def test_a_lot_is_resampled_whole() -> None:
    first, second, bad, _ = scores(gain=0.3)
    few = auroc_difference(np.tile(first[:60], 8), np.tile(second[:60], 8), np.tile(bad[:60], 8))
    lots = auroc_difference(
        np.tile(first[:60], 8), np.tile(second[:60], 8), np.tile(bad[:60], 8), groups=list(range(60)) * 8
    )
    assert lots.value == pytest.approx(few.value)
    assert lots.upper - lots.lower > 2 * (few.upper - few.lower)


def test_what_may_be_concluded_of_a_difference() -> None:
    first, second, bad, lots = scores()
    better = conclude(auroc_difference(first, second, bad, groups=lots), "lite0", "dinov2")
    assert better.startswith("dinov2 is better on parts like these: AUROC 0.")
    assert "on 240 parts in 30 groups" in better
    assert "at 95 %" in better
    worse = conclude(auroc_difference(second, first, bad), "lite0", "dinov2")
    assert worse.startswith("lite0 is better")
    assert "groups" not in worse
    random = np.random.default_rng(2)
    even = conclude(auroc_difference(first, bad + random.normal(size=240), bad))
    assert even.startswith("No difference may be concluded")
    for sentence in (better, worse, even):
        assert sentence.endswith(".")
        assert "\n" not in sentence


def test_what_may_not_be_concluded_is_said() -> None:
    first, second, bad, _ = scores()
    few = conclude(auroc_difference(first, second, bad, groups=[n // 60 for n in range(240)]))
    assert few.startswith("Nothing may be concluded")
    assert "fewer than 10 groups" in few
    assert "fewer than 10 parts" in conclude(auroc_difference([1, 2], [2, 1], [0, 1]))
    assert "do not hold every class" in conclude(auroc_difference([1, 2], [2, 1], [1, 1]))
    assert "gives no interval" in conclude(auroc_difference(first, first, bad))
    assert conclude(auroc_difference([], [], [])).startswith("Nothing may be concluded")


def test_what_may_be_concluded_of_mcnemar() -> None:
    assert conclude(split(90, 1, 12, 3), "A", "B") == (
        "B is right more often: on 106 parts, A alone is right on 1 and B alone on 12 (p = 0.003)."
    )
    assert conclude(split(90, 20, 0, 3), "A", "B").startswith("A is right more often")
    assert "below 0.001" in conclude(split(90, 20, 0, 3))
    assert conclude(split(50, 7, 6, 0)).startswith("No difference may be concluded")
    assert "with 5 such parts no split could show a difference" in conclude(split(50, 5, 0, 0))
    assert conclude(split(0, 0, 0, 0)) == "Nothing may be concluded: no part was compared."


def test_recipes_that_judged_other_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="same parts"):
        mcnemar([True], [True, False])
    with pytest.raises(ValueError, match="one label per score"):
        auroc_difference([1.0], [1.0, 2.0], [True])
    with pytest.raises(ValueError, match="one group per part"):
        auroc_difference([1.0, 2.0], [1.0, 2.0], [True, False], groups=["a"])
