"""Whether heat explains the score, and whether the measure can tell heat that does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sightline.core.band import Band
from sightline.core.sample import Sample
from sightline.evaluate.evaluation import evaluate
from sightline.evaluate.faithfulness import bounded, faithfulness
from sightline.evaluate.trial import run_trial


def test_heat_that_makes_the_score_beats_a_random_map(inspector: Any, lot: list[Sample]) -> None:
    images = run_trial(inspector, lot, include_trained=False, progress=None).images
    found = faithfulness(inspector, images, 4)
    assert found is not None and (found.images, found.of) == (4, 5)
    assert found.gain.value is not None and found.gain.value > 0.2
    assert found.insertion.value > found.random_insertion.value  # type: ignore[operator]
    assert (found.pointing.count, found.pointing.of) == (4, 4)
    assert found.by_chance is not None and found.by_chance < 0.3


def test_turned_heat_gains_nothing_and_points_wrongly(inspector: Any, lot: list[Sample]) -> None:
    class Turned:
        card = inspector.card

        def inspect(self, source: Any) -> Any:
            seen = inspector.inspect(source)
            return replace(seen, heat=np.ascontiguousarray(-seen.heat))

    images = run_trial(Turned(), lot, include_trained=False, progress=None).images
    found = faithfulness(Turned(), images, 4)
    assert found is not None and found.gain.value is not None and found.gain.value < 0
    assert found.pointing.count == 0


def test_the_same_seed_gives_the_same_sample(inspector: Any, lot: list[Sample]) -> None:
    images = run_trial(inspector, lot, include_trained=False, progress=None).images
    assert faithfulness(inspector, images, 2, seed=3) == faithfulness(inspector, images, 2, seed=3)
    assert faithfulness(inspector, [image for image in images if not image.defective], 2) is None


def test_a_score_becomes_a_share() -> None:
    band = Band(low=1.0, high=3.0)
    assert bounded(3.0, band) == pytest.approx(0.5)
    assert bounded(1.0, band) == pytest.approx(0.119, abs=1e-3)
    assert bounded(float("nan"), band) == 1.0 and bounded(float("inf"), band) == 1.0


def test_evaluate_measures_it_only_where_it_is_asked_for(inspector: Any, lot: list[Sample]) -> None:
    assert evaluate(inspector, lot).faithfulness is None
    found = evaluate(inspector, lot, explained=2)
    assert found.to_json()["faithfulness"]["images"] == 2
    assert "beyond a random map" in str(found)
