"""A search's prices become its recipe's thresholds: one where a review has no price, and never milder by drawing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sightline.core.card import Recognition
from sightline.core.result import NEVER, Band
from sightline.evaluate.prices import Prices
from sightline.evaluate.statistics.intervals import rate
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.train.search.cost import Cost
from sightline.train.search.thresholds import price_thresholds

PRICES = Prices(review=None)
COST = Cost(483.0, 900.0, 1.25, 1.25, rate(4, 10), rate(1, 20), 0)


def test_without_a_review_price_one_threshold_parts_ok_from_ng(recipe: Recipe) -> None:
    made = price_thresholds(recipe, COST, PRICES, synthetic=False)
    card = Inspector(made, threads=1).card
    assert card.band == Band(low=1.25, high=1.25)
    assert card.revision is not None and "escape 50" in card.revision.reason
    assert card.calibration.escape == COST.escapes
    assert any(
        "4 of 10 known defective parts judged OK in cross-validation" in line for line in card.calibration.promises
    )
    assert card.provenance == recipe.card.provenance


def test_with_a_review_price_the_cheapest_band_is_the_recipes(recipe: Recipe) -> None:
    cost = replace(COST, low=0.5, high=2.5)
    assert price_thresholds(recipe, cost, Prices(review=0.5), synthetic=False).card.band == Band(low=0.5, high=2.5)


def test_judging_everything_ng_may_be_cheapest(recipe: Recipe) -> None:
    cost = replace(COST, low=-math.inf, high=-math.inf)
    assert price_thresholds(recipe, cost, PRICES, synthetic=False).card.band == Band(low=NEVER, high=NEVER)


@pytest.mark.parametrize("review", [None, 0.5])
def test_drawn_defects_never_make_thresholds_milder(recipe: Recipe, review: float | None) -> None:
    card = price_thresholds(recipe, replace(COST, low=99.0, high=99.0), Prices(review=review), synthetic=True).card
    assert card.band.high <= recipe.card.band.high
    assert card.band.low <= (recipe.card.band.high if review is None else recipe.card.band.low)
    assert card.calibration.escape is None
    assert any("nothing can be promised about escapes" in line for line in card.calibration.promises)


def test_where_types_decide_too_review_becomes_ng(recipe: Recipe) -> None:
    both = Recognition(exclusive=True, band=Band(low=0.0, high=3.0))
    typed = recipe.with_card(recipe.card.model_copy(update={"recognition": both, "types": ("a", "b")}))
    made = price_thresholds(typed, COST, PRICES, synthetic=False).card
    assert made.band == Band(low=recipe.card.band.low, high=recipe.card.band.low)
    assert made.recognition is not None and made.recognition.band == Band(low=0.0, high=0.0)
    assert price_thresholds(typed, COST, Prices(review=0.5), synthetic=False) is typed


def test_a_search_whose_trials_did_not_finish_has_one_threshold_as_well(recipe: Recipe) -> None:
    card = price_thresholds(recipe, None, PRICES, synthetic=False).card
    assert card.band == Band(low=recipe.card.band.low, high=recipe.card.band.low)
    assert card.calibration.escape == recipe.card.calibration.escape


def test_prices_say_what_looking_at_nothing_would_cost() -> None:
    assert Prices(defect_rate=0.01, escape=50.0, overkill=2.0).all_ok == 500.0
    assert Prices(defect_rate=0.01, escape=50.0, overkill=2.0).all_ng == 1980.0
