"""Causes: each is known by its own measures, whatever else it moves a little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sightline.core.card import PLACES
from sightline.improve.causes import CAUSES, name_cause
from sightline.improve.charts import CHARTED, SIZE, Drift


def drift(places: dict[tuple[int, int], float] | None = None, crossed: str = "score", **moved: float) -> Drift:
    values = np.zeros(SIZE)
    for name, deviations in moved.items():
        values[CHARTED.index(name)] = deviations
    for (row, column), deviations in (places or {}).items():
        values[len(CHARTED) + row * PLACES + column] = deviations
    return Drift(1, 50, (crossed,), values, values, np.zeros(SIZE))


@pytest.mark.parametrize("cause, found", [
    ("light", drift(brightness=-5, red=-2, score=3)),
    ("light", drift(contrast=-4, score=1)),
    ("light", drift(noise=6)),
    ("light", drift({(row, column): 5.0 for row in range(PLACES) for column in range(5)}, brightness=0.5)),
    ("lens", drift(sharpness=-8, noise=-30, contrast=-2, shift_x=0.5)),
    ("colour", drift(red=6, blue=-5, brightness=0.8)),
    ("camera", drift({(3, 3): 4.0, (3, 4): -4.0}, turn=6.0, sharpness=-2)),
    ("camera", drift({(3, 3): 8.0, (3, 4): -8.0}, sharpness=-2)),
    ("dirt", drift({(4, 4): -9.0, (4, 5): -6.0}, brightness=-1.5, turn=0.6)),
    ("camera", drift({(3, 3): -6.0}, turn=2.5)),
    ("dirt", drift({(4, 4): -0.5}, "places", brightness=-0.2)),
    ("lens", drift(None, "sharpness", sharpness=-0.5)),
    ("light", drift(None, "noise", noise=0.7)),
    ("product", drift(score=6, distance=5)),
    ("product", drift({(1, 1): 0.5}, score=6, brightness=0.4)),
    ("product", drift()),
])  # fmt: skip
def test_the_cause_is_the_one_whose_measures_moved_farthest(cause: str, found: Drift) -> None:
    assert name_cause(found).name == cause


def test_what_befalls_some_parts_and_not_others_is_the_product() -> None:
    """Broken parts lie and look otherwise in every way; a camera that has moved sees all of them so."""
    found = drift({(3, 3): 4.0, (3, 4): -4.0}, "scale", scale=3.0, brightness=-1.0)
    assert name_cause(found).name == "camera"
    assert name_cause(replace(found, scattered=np.full(SIZE, 12.0))).name == "product"
    steady = np.full(SIZE, 12.0)
    steady[CHARTED.index("scale")] = 0.5
    assert name_cause(replace(found, scattered=steady)).name == "camera"


def test_every_cause_says_what_to_do() -> None:
    assert set(CAUSES) == {"light", "lens", "dirt", "camera", "colour", "product", "defects"}
    for cause in CAUSES.values():
        assert len(cause.what) > 30
        assert len(cause.remedy) > 30
