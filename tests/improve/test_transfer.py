"""A recipe at another place may run as it is, is recalibrated, or has to be trained: good parts there say which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.result import Verdict
from sightline.improve.canary import KnownPart
from sightline.improve.transfer import transfer
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe

Draw = Callable[..., tuple[NDArray[np.uint8], Any]]


def elsewhere(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Under another lamp."""
    return np.clip(np.rint(picture * np.array([0.95, 0.75, 0.6])), 0, 255).astype(np.uint8)


def test_where_parts_look_as_they_did_a_recipe_may_run(recipe: Recipe, draw: Draw) -> None:
    found = transfer(recipe, [draw(number)[0] for number in range(60, 70)], [], 1)
    assert found.answer == "may run" and found.adaptation is None and found.as_it_is >= 8


def test_under_another_lamp_it_is_recalibrated_and_defects_stay_defects(recipe: Recipe, draw: Draw) -> None:
    known = [KnownPart(f"d{number}", draw(number, flawed=True)[0], True) for number in range(100, 104)]
    good = [elsewhere(draw(number)[0]) for number in range(60, 72)]
    found = transfer(recipe, good, known, 1)
    assert found.as_it_is < 6
    assert found.answer == "recalibrated", found.reason
    assert found.adaptation is not None and found.gain[2] > found.gain[1] > found.gain[0]
    inspector = Inspector(recipe, threads=1)
    inspector.adapt(found.adaptation)
    fresh = [inspector.inspect(elsewhere(draw(number)[0])).verdict for number in range(80, 88)]
    assert fresh.count(Verdict.OK) >= 6
    flawed = [inspector.inspect(elsewhere(draw(number, flawed=True)[0])).verdict for number in range(110, 116)]
    assert Verdict.OK not in flawed


def test_another_product_needs_a_training(recipe: Recipe, draw: Draw) -> None:
    rng = np.random.default_rng(0)
    other = [rng.integers(0, 255, draw(1)[0].shape, np.uint8) for _ in range(6)]
    found = transfer(recipe, other, [], 1)
    assert found.answer == "retrain" and found.adaptation is None and found.reason
    dark = [(draw(number)[0] * 0.2).astype(np.uint8) for number in range(60, 66)]
    assert "exposure" in transfer(recipe, dark, [], 1).reason
    with pytest.raises(InputError, match="too few"):
        transfer(recipe, other[:4], [], 1)
