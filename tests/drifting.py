"""Parts of a line in numbers, as records have them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from sightline.core.card import MEASURES, PLACES
from sightline.core.result import Verdict
from sightline.improve.charts import SIZE, Usual
from sightline.store.inspections import Record

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
