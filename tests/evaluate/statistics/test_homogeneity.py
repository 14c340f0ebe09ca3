"""One test for several shares: what it says of equal ones, of different ones, and of few parts."""

import numpy as np
import pytest

from sightline.evaluate.statistics.homogeneity import same_share


def test_it_agrees_with_fishers_exact_test_of_two_shares():
    stats = pytest.importorskip("scipy.stats")
    for first, second, n, m in ((3, 12, 50, 60), (0, 5, 20, 20), (40, 55, 900, 800)):
        exact = stats.fisher_exact([[first, n - first], [second, m - second]]).pvalue
        found = same_share([first, second], [n, m])
        assert abs(found - exact) < 4 * np.sqrt(exact * (1 - exact) / 1999) + 0.02 * (exact > 0.05), (first, second)


def test_equal_shares_are_rarely_called_different():
    rng = np.random.default_rng(1)
    called = [same_share(rng.binomial(300, 0.02, 8).tolist(), [300] * 8) < 0.05 for _ in range(200)]
    assert sum(called) <= 22  # 200 x 5 %, and three standard deviations
    assert same_share([6, 5, 30], [300, 300, 300]) == 1 / 2000


def test_what_cannot_be_compared():
    assert same_share([3], [10]) is None
    assert same_share([3, 0], [10, 0]) is None
    assert same_share([0, 0], [10, 20]) == 1.0
    with pytest.raises(ValueError, match="count <= of"):
        same_share([3, 2], [10, 1])
