"""Other thresholds weighed: the matrix of a known set, parts counted once, and costs that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.evaluate.evaluating import evaluate
from sightline.evaluate.preview import Judged, preview
from sightline.evaluate.prices import Prices
from sightline.evaluate.statistics.intervals import upper_bound

# Ten good parts that score 0 to 9 and four defective ones that score 6 to 12; the last of each could not be read.
KNOWN = Judged(
    sample=tuple(range(14)),
    score=(*(float(n) for n in range(9)), None, 6.0, 8.0, 12.0, None),
    label=("good",) * 10 + ("defective",) * 4,
    type=(None,) * 10 + ("crack",) * 4,
    verdict=("OK",) * 14,
    floor=("OK",) * 13 + ("NG",),
    unit=tuple(range(14)),
)
PRICES = Prices(defect_rate=0.1, escape=100.0, overkill=10.0, review=1.0)


def test_the_matrix_and_the_costs_of_a_known_set() -> None:
    found = preview(KNOWN, 6.0, 8.0, PRICES)
    assert found.matrix == {"good": {"OK": 7, "REVIEW": 2, "NG": 1}, "defective": {"OK": 1, "REVIEW": 1, "NG": 2}}
    assert (found.escape.count, found.escape.of, found.escape.upper) == (1, 4, upper_bound(1, 4))
    assert (found.overkill.count, found.overkill.of, found.overkill.upper) == (1, 10, upper_bound(1, 10))
    assert found.review_load == pytest.approx(0.1 * 0.25 + 0.9 * 0.2)
    assert found.shipped_ppm == pytest.approx(1e6 * 0.025 / (0.025 + 0.63))
    assert found.cost_per_1000 == pytest.approx(1000 * (0.1 * 0.25 * 100 + 0.9 * 0.1 * 10 + 0.205))
    worst = 0.1 * upper_bound(1, 4, 0.975) * 100 + 0.9 * upper_bound(1, 10, 0.975) * 10 + 0.205
    assert found.cost_per_1000_upper == pytest.approx(1000 * worst)


def test_what_decides_beside_the_score_goes_on_deciding() -> None:
    floors = ("REVIEW", *KNOWN.floor[1:10], "NG", *KNOWN.floor[11:])
    found = preview(replace(KNOWN, floor=floors), 100.0, 100.0, PRICES)
    assert found.matrix == {"good": {"OK": 8, "REVIEW": 1, "NG": 1}, "defective": {"OK": 2, "REVIEW": 0, "NG": 2}}


def test_pictures_of_one_part_count_once() -> None:
    found = preview(replace(KNOWN, unit=(0,) * 10 + (1,) * 4), 6.0, 8.0, PRICES)
    assert (found.escape.count, found.escape.of, found.overkill.count, found.overkill.of) == (1, 1, 1, 1)


def test_what_was_not_seen_is_said() -> None:
    good = Judged(**{name: getattr(KNOWN, name)[:9] for name in Judged.__dataclass_fields__})
    found = preview(good, -1.0, -1.0, PRICES)
    assert (found.escape.value, found.escape.upper, found.shipped_ppm) == (None, 1.0, None)
    assert found.shipped_ppm_upper == pytest.approx(1e6)
    assert "no defective part" in found.notes[0]
    for ok, ng in ((2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))):
        with pytest.raises(InputError, match="not valid thresholds"):
            preview(KNOWN, ok, ng, PRICES)


def test_an_evaluation_gives_the_same_with_its_own_thresholds(inspector: Any, lot: list[Sample]) -> None:
    found = evaluate(inspector, lot)
    judged = Judged.from_json(Judged.of(found, {lot[0].path.stem: 7}).to_json())
    told = preview(judged, found.card.band.low, found.card.band.high, PRICES)
    assert (told.escape, told.overkill) == (found.escapes, found.overkills)
    assert [str(verdict) for verdict in judged.verdicts(found.card.band)] == list(judged.verdict)
    assert 7 in judged.sample
