"""From the cheapest thresholds of a search to those of its recipe, and what they may promise."""

from __future__ import annotations

from sightline.core.card import Card
from sightline.core.result import NEVER, Band
from sightline.evaluate.prices import Prices
from sightline.evaluate.report.text import percent
from sightline.evaluate.thresholds import SURE, held_out_scores, restated, revised
from sightline.runtime.recipe import Recipe
from sightline.train.search.cost import Cost


def price_thresholds(recipe: Recipe, cost: Cost | None, prices: Prices, synthetic: bool) -> Recipe:
    """The recipe with the thresholds that cost least in cross-validation; without a review price they are one.

    Synthetic defects say nothing about real ones: thresholds that rest on them may be stricter than those of the
    training, never milder. Where known types decide as well, the costs of both are one figure, which says nothing
    about either's own threshold: then, and where no trial was finished (`cost` None), those of the training stay, and
    without a review price REVIEW becomes NG.
    """
    card = recipe.card
    if card.without_good:
        return recipe
    priced = cost if card.recognition is None or card.recognition.band is None else None
    band = _band(card, priced, prices, synthetic)
    if priced is None and prices.review is not None:
        return recipe
    lines = [*_promises(priced, synthetic), *_types(card)]
    escape = None if priced is None or synthetic else priced.escapes
    if priced is None and band.low <= card.band.low:
        escape = card.calibration.escape
    calibration = restated(card, band, held_out_scores(recipe), escape, lines)
    review = "no review" if prices.review is None else f"review {prices.review:g}"
    reason = f"prices: escape {prices.escape:g}, overkill {prices.overkill:g}, {review}; "
    reason += f"{percent(prices.defect_rate)} of parts defective"
    changed = revised(_one_threshold_of_types(recipe), band, calibration, reason, "sightline search")
    # The parent is a recipe that nobody has: search trained it and keeps only what came of it.
    return changed.with_card(changed.card.model_copy(update={"provenance": card.provenance}))


def _band(card: Card, cost: Cost | None, prices: Prices, synthetic: bool) -> Band:
    if cost is None:
        return Band(low=card.band.low, high=card.band.low)
    low, high = max(cost.low, NEVER), max(cost.high, NEVER)
    if synthetic:
        limit = card.band.high if prices.review is None else card.band.low
        low, high = min(low, limit), min(high, card.band.high)
    return Band(low=low, high=low if prices.review is None else high)


def _one_threshold_of_types(recipe: Recipe) -> Recipe:
    """Known types part OK from NG at one threshold, too: what they would have left to a person is NG."""
    found = recipe.card.recognition
    if found is None or found.band is None:
        return recipe
    one = found.model_copy(update={"band": Band(low=found.band.low, high=found.band.low), "calibration": None})
    return recipe.with_card(recipe.card.model_copy(update={"recognition": one}))


def _promises(cost: Cost | None, synthetic: bool) -> list[str]:
    if cost is None:
        return ["no REVIEW, because it has no price: parts that the training would have left to a person are NG"]
    if synthetic:
        return ["no labelled defective parts: nothing can be promised about escapes"]
    escapes, overkills = cost.escapes, cost.overkills
    return [
        f"{overkills.count} of {overkills.of} good parts judged NG in cross-validation: at most "
        f"{percent(overkills.upper)}",
        f"{escapes.count} of {escapes.of} known defective parts judged OK in cross-validation: escape at most "
        f"{percent(escapes.upper)} at {SURE} confidence for both together, had the limits been fixed before",
    ]


def _types(card: Card) -> list[str]:
    if card.recognition is None or card.recognition.band is None:
        return []
    return ["known types also decide: more good parts than counted here may be NG"]
