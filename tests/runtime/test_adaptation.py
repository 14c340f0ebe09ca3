"""What a place has learned beside its recipe: read whole or not at all, and refused by any other recipe."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.core.errors import RecipeError
from sightline.runtime.adaptation import Adaptation
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe


def test_an_adaptation_file_is_checked_before_it_is_unpacked(recipe: Recipe) -> None:
    own = Adaptation(
        recipe.hash, {"bank_fine": np.ones((3, 4), np.float32)}, {"bank_fine": np.array([0, 1, 2], np.int32)}
    )
    same = Adaptation.of(own.to_bytes())
    assert (
        same.added == 2
        and same.without(2).added == 1
        and np.array_equal(same.banks["bank_fine"], own.banks["bank_fine"])
    )
    for damaged in (b"", b"PK\x03\x04", own.to_bytes()[:-40], own.to_bytes().replace(b"bank_fine", b"bank_evil")):
        with pytest.raises(RecipeError):
            Adaptation.of(damaged)
    with pytest.raises(RecipeError, match="damaged"):
        Adaptation(
            recipe.hash, {"bank_fine": np.full((1, 2), np.nan, np.float32)}, {"bank_fine": np.zeros(1, np.int32)}
        )


def test_another_recipe_refuses_it_and_goes_on_as_before(recipe: Recipe) -> None:
    inspector = Inspector(recipe, threads=1)
    picture = np.full((96, 128, 3), 120, np.uint8)
    before = inspector.inspect(picture).score
    strange = Adaptation("0" * 64, {"bank_fine": np.ones((3, 64), np.float32)}, {"bank_fine": np.zeros(3, np.int32)})
    with pytest.raises(RecipeError, match="is of recipe"):
        inspector.adapt(strange)
    narrow = Adaptation(recipe.hash, {"bank_fine": np.ones((3, 5), np.float32)}, {"bank_fine": np.zeros(3, np.int32)})
    with pytest.raises(RecipeError, match="does not fit"):
        inspector.adapt(narrow)
    assert inspector.inspect(picture).score == before


def test_light_is_corrected_inside_of_the_picture_alone(recipe: Recipe) -> None:
    brighter = Adaptation(recipe.hash, gain=(2.0, 1.0, 1.0), offset=(0.0, 10.0, -300.0))
    picture = np.full((4, 6, 3), 100, np.uint8)
    found = brighter.apply_light(picture, (1, 1, 4, 2))
    assert found[1, 1].tolist() == [200, 110, 0] and found[0, 0].tolist() == [100, 100, 100]
    assert picture[1, 1].tolist() == [100, 100, 100] and brighter.changes_light
    assert not Adaptation(recipe.hash).changes_light
