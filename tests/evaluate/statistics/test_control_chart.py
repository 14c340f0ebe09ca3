"""The p-chart: limits by hand, each rule on a run that breaks it and on one that just does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sightline.evaluate.statistics.control_chart import broken_rules, p_chart


def test_limits_follow_each_subgroups_size() -> None:
    chart = p_chart([("a", 100, 10), ("empty", 0, 0), ("b", 400, 40), ("c", 25, 2)])
    assert [point.label for point in chart.points] == ["a", "b", "c"]
    assert (chart.center, chart.parts, chart.ng) == (pytest.approx(52 / 525), 525, 52)
    p = 52 / 525
    for point, n in zip(chart.points, (100, 400, 25), strict=True):
        wide = 3 * math.sqrt(p * (1 - p) / n)
        assert (point.lower, point.upper) == (pytest.approx(max(0.0, p - wide)), pytest.approx(p + wide))
        assert point.rules == ()
    assert chart.points[2].lower == 0.0


def test_a_share_beyond_its_limit_is_marked() -> None:
    chart = p_chart([(str(hour), 1000, 20) for hour in range(5)] + [("bad", 1000, 60)])
    assert chart.points[-1].rules[0] == 1
    assert chart.points[-1].p > chart.points[-1].upper
    assert all(1 not in point.rules for point in chart.points[:-1])


@pytest.mark.parametrize("ng", [0, 50])
def test_a_line_without_variation_breaks_no_rule(ng: int) -> None:
    assert all(point.rules == () for point in p_chart([(str(hour), 50, ng) for hour in range(20)]).points)
    assert p_chart([]).center is None


@pytest.mark.parametrize(
    ("rule", "run", "harmless"),
    [
        (1, [3.1], [3.0]),
        (2, [0.1, 0.2] * 4 + [0.1], [0.1, 0.2] * 4),
        (3, [-0.5, -0.3, -0.1, 0.1, 0.3, 0.5], [-0.5, -0.3, -0.1, 0.1, 0.3, 0.2]),
        (3, [0.5, 0.3, 0.1, -0.1, -0.3, -0.5], [0.5, 0.3, 0.1, -0.1, -0.3]),
        (4, [0.3, -0.3] * 7, [0.3, -0.3] * 6 + [0.3]),
        (5, [2.1, -0.5, 2.2], [2.1, -0.5, -2.2]),
        (5, [-2.1, -2.2], [2.1]),
        (6, [1.1, 1.2, -0.2, 1.3, 1.1], [1.1, 1.2, -0.2, -0.3, 1.1]),
        (6, [-1.1, -1.2, -1.3, -1.1], [-1.1, -1.2, -1.3, -0.9]),
    ],
)
def test_each_rule_knows_its_run(rule: int, run: list[float], harmless: list[float]) -> None:
    assert rule in broken_rules(np.array(run))[-1]
    assert rule not in broken_rules(np.array(harmless))[-1]
