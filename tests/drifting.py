"""Parts of a line in numbers, as records have them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np
import pytest

from sightline.core.card import MEASURES, PLACES
from sightline.core.result import Verdict
from sightline.improve import charts
from sightline.improve.charts import SIZE, Usual
from sightline.improve.drift import SETTLING
from sightline.store.inspections import Record
from sightline.store.store import Store

RECIPE = "a" * 64
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
# As a fixed camera sees a part: in each measure's unit.
MEANS = (4.7, 0.4, -1.0, -4.0, 0.1, -0.2, 0.0, 0.0, 0.0, 0.0)
DEVIATIONS = (0.02, 0.02, 0.06, 0.1, 0.01, 0.01, 0.3, 0.3, 0.3, 0.3)
Part = Callable[..., Record]


@pytest.fixture
def part() -> Part:
    """Makes the record of a part: `moved` are deviations by measure, `dark` levels by place."""
    rng = np.random.default_rng(5)

    def make(number: int, moved: Mapping[str, float] | None = None, dark: Mapping[int, int] | None = None,
             score: float = 0.0, recipe: str = RECIPE, view: str = "top", **more: Any) -> Record:  # fmt: skip
        shifts = np.array([(moved or {}).get(name, 0.0) for name in MEASURES])
        measures = np.array(MEANS) + np.array(DEVIATIONS) * (rng.normal(0, 1, len(MEASURES)) + shifts)
        places = np.clip(np.rint(100 + rng.normal(0, 4, PLACES**2)), 0, 255)
        for place, levels in (dark or {}).items():
            places[place] -= levels
        seen = {
            "view": view, "verdict": "OK", "recipe_hash": recipe, "score": float(rng.normal(score, 1)),
            "p_value": float(rng.uniform(0.02, 1)), "ood_distance": float(rng.normal(0.4, 0.05)),
            "appearance": {
                "measures": [round(float(value), 4) for value in measures],
                "places": base64.b64encode(places.astype(np.uint8).tobytes()).decode(),
            },
        }  # fmt: skip
        record = Record(
            station="press", verdict=Verdict.OK, triggered=FIRST + timedelta(seconds=number), id=number,
            key=f"k{number}",
            recipe_hash=recipe, details={"purpose": "production", "views": [seen]},
        )  # fmt: skip
        return replace(record, **more)

    return make


@pytest.fixture
def usual() -> Usual:
    """What a card with 100 training parts says of such parts."""
    mean = np.array([*MEANS, 0.0, 0.4, *[100.0] * PLACES**2])
    scale = np.array([*DEVIATIONS, 1.0, 0.05, *[4.0] * PLACES**2])
    assert mean.size == SIZE
    return Usual(mean, scale, np.full(SIZE, 100.0), "training", 100)


def record_burst(store: Store, part: Part, station: str) -> list[int]:
    """A station makes good parts, then one in seven of lot L7 with an unknown defect in its upper right corner, whose
    pictures are kept; the numbers of these.
    """
    before = SETTLING + charts.FIRST
    later = range(before + 1, before + 151)
    bad = [number for number in later if number % 7 == 0]
    records = []
    for number in range(1, later[-1] + 1):
        made = part(number, id=None, station=station, lot=f"L{number % 9}", product="caps")
        if number in bad:
            view = {**made.details["views"][0], "verdict": "NG", "size": [160, 120]}
            view["defects"] = [{"type": "unknown", "box": [140, 5, 10, 10], "score": 3.0}]
            made = replace(made, verdict=Verdict.NG, lot="L7", details={"views": [view]})
        records.append(made)
    store.inspections.record_many(records)
    for number in bad:
        picture = np.full((120, 160, 3), 180, np.uint8)
        picture[5:15, 140:150] = number % 128
        image = store.images.put(cv2.imencode(".png", picture)[1].tobytes(), f"k{number}")
        store.inspections.set_image(f"k{number}", image.hash)
    return bad
