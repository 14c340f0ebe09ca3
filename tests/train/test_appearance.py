"""What a card says of how good parts looked: strays do not widen it, and the inspector measures the same."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from sightline.core.card import MEASURES, PLACES, Card
from sightline.core.errors import RecipeError
from sightline.core.result import Verdict
from sightline.line import recorder
from sightline.line.inspection_worker import view_result
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.train.appearance import spread_of


def test_strays_neither_move_nor_widen_a_spread_and_a_second_cluster_does() -> None:
    values = np.random.default_rng(0).normal(5, 2, 200)
    clean, strayed = spread_of(values, 200), spread_of(np.append(values, [500.0, np.nan, 900.0]), 203)
    assert clean.mean == pytest.approx(5, abs=0.4)
    assert clean.scale == pytest.approx(2, rel=0.2)
    assert strayed.mean == pytest.approx(clean.mean, abs=0.1)
    assert strayed.scale == pytest.approx(clean.scale, rel=0.1)
    assert spread_of(np.append(values, values[:50] + 20), 250).scale > 2.5 * clean.scale
    assert spread_of(np.array([np.nan]), 1).scale == 0.0


def test_the_card_tells_how_good_parts_look_and_the_line_records_the_same(
    recipe: Recipe, judge: Inspector, draw: Any
) -> None:
    card = recipe.card.appearance
    assert card is not None
    assert tuple(card.measures) == MEASURES
    assert len(card.places) == PLACES**2
    assert card.score.of == card.distance.of == recipe.card.calibration.good
    seen = [judge.inspect(draw(900 + number)[0]) for number in range(12)]
    for index, name in enumerate(MEASURES):
        mean = np.mean([one.appearance.measures[index] for one in seen if one.appearance is not None])
        spread = card.measures[name]
        assert abs(mean - spread.mean) < 2 * spread.scale + 0.3, name
    told = recorder._view(view_result(seen[0], "top", judge.digest, {}, recipe.card.band))
    assert json.loads(json.dumps(told))["appearance"] == seen[0].appearance.to_json()  # type: ignore[union-attr]
    assert told["verdict"] in set(Verdict)
    assert told["p_value"] == pytest.approx(seen[0].p_value)


def test_a_recipe_without_the_section_inspects_as_before(recipe: Recipe, draw: Any) -> None:
    bare = Inspector(recipe.with_card(recipe.card.model_copy(update={"appearance": None})))
    image = draw(950)[0]
    seen, with_section = bare.inspect(image), Inspector(recipe).inspect(image)
    assert seen.score == pytest.approx(with_section.score)
    assert seen.appearance is not None
    assert seen.appearance.measures[6:] == (0.0, 0.0, 0.0, 0.0)


def test_a_damaged_section_is_refused(recipe: Recipe) -> None:
    values = json.loads(recipe.card.model_dump_json())
    for change in (
        {"places": values["appearance"]["places"][:5]},
        {"picture": base64.b64encode(b"no picture at all, but long enough").decode()},
        {"surprise": 1},
    ):
        with pytest.raises(ValidationError):
            Card.model_validate(values | {"appearance": values["appearance"] | change})
    # A header alone passes for a PNG, and decoding does not.
    head = base64.b64encode(base64.b64decode(values["appearance"]["picture"])[:40]).decode()
    card = Card.model_validate(values | {"appearance": values["appearance"] | {"picture": head}})
    with pytest.raises(RecipeError, match="damaged"):
        Inspector(recipe.with_card(card))
