"""What a trial takes as a picture's score: the anomaly score, or the graver of two witnesses."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.core.card import Card, Recognition
from sightline.core.result import Band, Result, Verdict
from sightline.runtime.recipe import Recipe
from sightline.train.search.trial import graver


def _card(recipe: Recipe, band: Band | None) -> Card:
    known = Recognition(exclusive=True, band=band)
    return recipe.card.model_copy(
        update={"types": ("dent", "scratch"), "recognition": known, "band": Band(low=1.0, high=3.0)}
    )


def _result(score: float, logits: tuple[float, float]) -> Result:
    shares = np.exp([0.0, *logits]) / np.exp([0.0, *logits]).sum()
    types = {"dent": float(shares[1]), "scratch": float(shares[2])}
    return Result(verdict=Verdict.OK, score=score, p_value=0.5, types=types)


def test_without_types_that_decide_it_is_the_anomaly_score(recipe: Recipe) -> None:
    found = _result(2.5, (4.0, -1.0))
    assert graver(found, recipe.card) == 2.5
    assert graver(found, _card(recipe, None)) == 2.5


@pytest.mark.parametrize(
    ("score", "logits", "expected"), [(2.0, (-9.0, -8.0), 0.5), (0.0, (-3.0, 5.0), 1.5), (3.0, (2.0, 0.0), 1.0)]
)
def test_the_higher_place_on_its_own_band_counts(
    recipe: Recipe, score: float, logits: tuple[float, float], expected: float
) -> None:
    card = _card(recipe, Band(low=2.0, high=4.0))  # of the highest logit against good
    assert graver(_result(score, logits), card) == pytest.approx(expected, abs=1e-3)
