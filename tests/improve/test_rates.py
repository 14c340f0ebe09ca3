"""Rates of the line from random samples: right in the mean, and their bounds hold, however few were looked at."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.core.result import Verdict
from sightline.improve.rates import live_rates
from sightline.store.review_figures import Stratum

PLANTS, SHADOWS = 500, 150


def strata(*numbers: tuple[int, int, int]) -> list[Stratum]:
    return [
        Stratum(verdict, *of) for verdict, of in zip((Verdict.OK, Verdict.REVIEW, Verdict.NG), numbers, strict=True)
    ]


def test_a_sample_counts_for_all_parts_of_its_verdict() -> None:
    found = live_rates(strata((9000, 297, 3), (600, 500, 100), (400, 10, 90)))
    # 1 % of 9,000 OK, a sixth of 600 REVIEW and 90 % of 400 NG parts are defective.
    assert found.escape.value == pytest.approx(90 / (90 + 100 + 360))
    assert found.overkill.value == pytest.approx(40 / (8910 + 500 + 40))
    assert found.shipped.value == pytest.approx(0.01) and found.shipped.lower < 0.01 < found.shipped.upper
    assert found.spot_checked == 300


def test_without_answers_nothing_is_known() -> None:
    found = live_rates(strata((9000, 0, 0), (600, 0, 0), (400, 0, 0)))
    assert found.escape.value is None and (found.escape.lower, found.escape.upper) == (0.0, 1.0)
    assert found.shipped.value is None and found.shipped.upper == 1.0
    empty = live_rates(strata((0, 0, 0), (0, 0, 0), (0, 0, 0)))
    assert empty.escape.value is None and empty.overkill.upper == 1.0


@pytest.mark.parametrize("share", [0.005, 0.02, 0.2])
def test_bounds_hold_in_simulated_plants(share: float) -> None:
    rng = np.random.default_rng(7)
    held = {"escape": 0, "overkill": 0, "shipped": 0}
    for _ in range(PLANTS):
        defects = rng.uniform(0.002, 0.05)
        of_good = rng.dirichlet((200, 8, 3))  # OK, REVIEW, NG
        of_bad = rng.dirichlet((1, 4, 20))
        parts = int(rng.integers(2000, 40_000))
        kinds = [(1 - defects) * of_good, defects * of_bad]
        shares = kinds[0] + kinds[1]
        counts = rng.multinomial(parts, shares / shares.sum())
        numbers = []
        for verdict, asked in enumerate((share, 1.0, 0.1)):
            answered = rng.binomial(counts[verdict], asked)
            bad = rng.binomial(answered, kinds[1][verdict] / shares[verdict])
            numbers.append((int(counts[verdict]), int(answered - bad), int(bad)))
        found = live_rates(strata(*numbers))
        # What the sample speaks for: this plant's parts by verdict, and the defective share behind each verdict.
        behind = [counts[verdict] * kinds[1][verdict] / shares[verdict] for verdict in range(3)]
        sound = [counts[verdict] - behind[verdict] for verdict in range(3)]
        truth = {
            "escape": behind[0] / sum(behind), "overkill": sound[2] / sum(sound), "shipped": behind[0] / counts[0],
        }  # fmt: skip
        for name, value in truth.items():
            estimate = getattr(found, name)
            held[name] += estimate.lower <= value <= estimate.upper
    assert min(held.values()) >= 0.94 * PLANTS, held


def test_bounds_hold_where_people_are_asked_by_another_recipes_verdict() -> None:
    """A recipe in shadow: parts of each pair of verdicts are a random sample of their own, however few."""
    rng = np.random.default_rng(8)
    held = {"escape": 0, "overkill": 0, "shipped": 0}
    for _ in range(SHADOWS):
        counts = rng.multinomial(int(rng.integers(2000, 20_000)), rng.dirichlet((200, 4, 2, 4, 3, 2, 2, 2, 8)))
        bad = rng.binomial(counts, (0.002, 0.3, 0.6, 0.1, 0.5, 0.7, 0.3, 0.6, 0.95))
        cells = []
        for cell, (count, defective) in enumerate(zip(counts, bad, strict=True)):
            asked = rng.binomial(count, (0.02, 1.0, 0.1)[cell % 3])  # by the verdict of the recipe in use
            seen = int(rng.hypergeometric(defective, count - defective, asked)) if asked else 0
            own = (Verdict.OK, Verdict.REVIEW, Verdict.NG)[cell // 3]
            cells.append(Stratum(own, int(count), int(asked) - seen, seen))
        found = live_rates(cells)
        truth = {
            "escape": bad[:3].sum() / bad.sum(), "overkill": (counts - bad)[6:].sum() / (counts - bad).sum(),
            "shipped": bad[:3].sum() / counts[:3].sum(),
        }  # fmt: skip
        for name, value in truth.items():
            estimate = getattr(found, name)
            held[name] += estimate.lower - 1e-12 <= value <= estimate.upper + 1e-12
    assert min(held.values()) >= 0.94 * SHADOWS, held
