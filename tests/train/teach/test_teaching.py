"""A new type from five examples: recognised afterwards, and the old types are called what they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

import sightline
from sightline.core.errors import InputError
from sightline.core.sample import TRAIN, Sample
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.train.teach.teaching import Taught, teach

COLOURS = {"paint": (40, 60, 235), "stain": (230, 230, 20)}


def _part(draw: Any, seed: int, kind: str | None) -> np.ndarray:
    image, _ = draw(seed)
    rng = np.random.default_rng(seed)
    x, y = int(rng.integers(20, 108)), int(rng.integers(20, 76))
    if kind in COLOURS:
        cv2.circle(image, (x, y), 8, COLOURS[kind], -1)
    elif kind == "bar":
        cv2.rectangle(image, (4, y - 4), (124, y + 4), (20, 200, 60), -1)
    return image


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory, draw: Any, write: Any) -> Recipe:
    folder, samples = tmp_path_factory.mktemp("old"), []
    for index, kind in enumerate([None] * 20 + ["paint"] * 8 + ["stain"] * 8):
        path = write(folder / f"{index}.png", _part(draw, 5000 + index, kind))
        samples.append(Sample(path, kind is not None, () if kind is None else (kind,), split=TRAIN))
    return sightline.train(
        samples,
        side_px=112,
        bank_size=256,
        sample_patches=4000,
        threads=1,
        synthetic=0,
        light_directions=0,
        seed=1,
    )


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory, draw: Any, write: Any) -> list[Path]:
    folder = tmp_path_factory.mktemp("new")
    return [write(folder / f"{i}.png", _part(draw, 6000 + i, "bar")) for i in range(5)]


@pytest.fixture(scope="module")
def taught(old: Recipe, examples: list[Path]) -> Taught:
    return teach(old, "bar", examples)


def _named(inspector: Inspector, image: np.ndarray) -> str:
    types = inspector.inspect(image).types
    best = max(types, key=lambda name: types[name])
    return best if types[best] > 1 - sum(types.values()) else "good"


def test_the_new_type_is_recognised_on_unseen_parts(taught: Taught, draw: Any) -> None:
    inspector = Inspector(taught.recipe, threads=1)
    assert inspector.card.types == ("paint", "stain", "bar")
    assert sum(_named(inspector, _part(draw, 7000 + i, "bar")) == "bar" for i in range(8)) >= 6
    assert taught.recognised.of == 5 and taught.recognised.count >= 3


def test_the_old_types_stay_what_they_were(old: Recipe, taught: Taught, draw: Any) -> None:
    before, after = Inspector(old, threads=1), Inspector(taught.recipe, threads=1)
    for index, kind in enumerate(["paint", "stain", None] * 4):
        image = _part(draw, 8000 + index, kind)
        first, second = before.inspect(image), after.inspect(image)
        assert second.score == pytest.approx(first.score, rel=1e-4)
        assert _named(after, image) == _named(before, image)
    assert set(taught.before) == {"good", "paint", "stain"}
    assert all(taught.after[name].count >= found.count - 1 for name, found in taught.before.items())


def test_it_takes_seconds_and_needs_no_old_image(taught: Taught) -> None:
    assert taught.seconds < 30
    assert taught.recipe.card.provenance.parent is not None


def test_a_taught_recipe_can_be_taught_again(taught: Taught, draw: Any, write: Any, tmp_path: Path) -> None:
    images = []
    for index in range(4):
        image, _ = draw(9000 + index)
        image[:, :20] = (200, 30, 200)
        images.append(write(tmp_path / f"{index}.png", image))
    again = teach(taught.recipe, "edge", images).recipe
    assert again.card.types == ("paint", "stain", "bar", "edge")
    image, _ = draw(9100)
    image[:, :20] = (200, 30, 200)
    assert _named(Inspector(again, threads=1), image) == "edge"


def test_the_file_stays_a_plain_onnx_model(taught: Taught) -> None:
    model = onnx.load_from_string(taught.recipe.data)
    onnx.checker.check_model(model)
    assert taught.recipe.card == Recipe(taught.recipe.data, taught.recipe.card).card


def test_bad_teaching_is_refused(old: Recipe, recipe: Recipe, examples: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="knows 'paint' already"):
        teach(old, "paint", examples)
    with pytest.raises(InputError, match="1 different image of the new type, at least 2 are needed"):
        teach(old, "bar", [examples[0], examples[0]])
    with pytest.raises(InputError, match="knows no defect types yet"):
        teach(recipe, "bar", examples)
    with pytest.raises(InputError, match="has no name"):
        teach(old, " ", examples)
    with pytest.raises(InputError, match=r"missing\.png"):
        teach(old, "bar", [examples[0], tmp_path / "missing.png"])
