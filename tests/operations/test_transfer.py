"""A stored recipe at another station: recalibrated there alone, once, and taken back like any other change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.errors import ConflictError, InputError
from sightline.operations import learning
from sightline.operations.transfer import transfer
from sightline.runtime.adaptation import Adaptation
from sightline.runtime.recipe import Recipe
from sightline.store.store import Store

Draw = Callable[..., tuple[NDArray[np.uint8], Any]]


@pytest.fixture
def store(tmp_path: Path, recipe: Recipe) -> Iterator[Store]:
    with Store.open(tmp_path / "line.db") as made:
        made.recipes.register(recipe.data, "plates", "plates", card=recipe.card.model_dump())
        yield made


def test_it_is_recalibrated_at_the_new_station_alone(store: Store, recipe: Recipe, draw: Draw, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(60, 72):
        lit = np.clip(np.rint(draw(number)[0] * np.array([0.95, 0.75, 0.6])), 0, 255).astype(np.uint8)
        cv2.imwrite(str(photos / f"{number}.png"), lit[..., ::-1])
    (photos / "notes.txt").write_text("taken on Monday")
    where = str(tmp_path / "line.db"), None
    shown = transfer(where, recipe.hash[:12], "saw", [photos], dry_run=True)
    assert (shown.found.answer, shown.change, shown.found.parts) == ("recalibrated", None, 12)
    done = transfer(where, recipe.hash[:12], "saw", [photos], "eva")
    assert done.change is not None and done.change.kind == "transfer" and done.change.state == "active"
    assert store.adaptations.active("press", recipe.hash) is None
    with pytest.raises(ConflictError, match="already"):
        transfer(where, recipe.hash[:12], "saw", [photos], "eva")
    undone = learning.undo(store, done.change.id, "eva")
    left = Adaptation.of(store.adaptations.file(undone.id))
    assert not left.changes_light and left.added == 0
    with pytest.raises(InputError, match="no such file"):
        transfer(where, recipe.hash[:12], "lathe", [tmp_path / "nowhere"])
    with pytest.raises(InputError, match="too few"):
        transfer(where, recipe.hash[:12], "lathe", [photos / "60.png"])
