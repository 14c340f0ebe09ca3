"""Where a recipe's thresholds are decided: how labelled pictures scored, and what other thresholds would have done."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.core.errors import InputError, NotFoundError
from sightline.evaluate.preview import Judged, Preview
from sightline.evaluate.preview import preview as compute
from sightline.evaluate.prices import Prices
from sightline.store.evaluations import StoredEvaluation
from sightline.store.recipes import StoredRecipe
from sightline.store.store import Store


@dataclass(frozen=True, slots=True)
class Scored:
    """An evaluation that speaks for a recipe, all that do, and how its pictures were judged."""

    recipe: StoredRecipe
    evaluation: StoredEvaluation
    evaluations: tuple[StoredEvaluation, ...]
    judged: Judged


def scored(store: Store, hash: str, evaluation: int | None = None) -> Scored:
    """The newest evaluation of a recipe, or the one of that number.

    A recipe that has but other thresholds than its parent scores alike: the parent's evaluations speak for it, too.
    Raises NotFoundError where there is none.
    """
    recipe = store.recipes.find(hash)
    found, there = recipe, store.evaluations.of(recipe.hash)
    for parent in store.recipes.lineage(recipe.hash)[0]:
        if found.card.get("revision") is None:
            break
        found, there = parent, (*there, *store.evaluations.of(parent.hash))
    chosen = next((one for one in there if evaluation in {None, one.id}), None)
    if chosen is None:
        raise NotFoundError(
            f"recipe {recipe.hash[:12]} has no {'such ' if evaluation is not None else ''}evaluation. Ask for one: a "
            "job of the kind evaluate"
        )
    return Scored(recipe, chosen, there, Judged.from_json(store.evaluations.judged(chosen.id)))


def preview(
    store: Store, hash: str, ok: float, ng: float, prices: Prices, evaluation: int | None = None
) -> tuple[StoredEvaluation, Preview]:
    """What other thresholds would have done, and the evaluation that this rests on. Nothing is changed.

    Raises InputError for thresholds that are none, NotFoundError as `scored`.
    """
    found = scored(store, hash, evaluation)
    if found.recipe.card.get("calibration", {}).get("known"):
        raise InputError(
            "this recipe was trained without good parts and never says OK, so it has no thresholds to choose"
        )
    return found.evaluation, compute(found.judged, ok, ng, prices)
