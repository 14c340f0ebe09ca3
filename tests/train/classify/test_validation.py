"""Known defects in a recipe: named, placed, graded; guarded against strangers; the graph says what torch says."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

import sightline
from sightline.core.result import Verdict
from sightline.core.sample import TEST, TRAIN, Sample
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.train.images.loader import TrainingWarning

COLOURS = {"paint": (40, 60, 235), "stain": (230, 230, 20)}
SETTINGS = {
    "side_px": 112, "bank_size": 256, "sample_patches": 4000, "threads": 1, "synthetic": 0,
    "synthetic_defects": "never",
}  # fmt: skip


def _drawn(draw: Any, write: Any, folder: Path, name: str, seed: int, kind: str | None, split: str) -> Sample:
    image, _ = draw(seed)
    rng, mask = np.random.default_rng(seed), np.zeros(image.shape[:2], np.uint8)
    if kind is not None:
        place = int(rng.integers(20, 108)), int(rng.integers(20, 76))
        cv2.circle(image, place, 8, COLOURS[kind], -1)
        cv2.circle(mask, place, 8, 255, -1)
    path = write(folder / f"{name}.png", image)
    marked = None if kind is None else write(folder / f"{name}_mask.png", mask)
    grade = 0 if kind is None else 1 if kind == "paint" else 2
    return Sample(path, kind is not None, () if kind is None else (kind,), mask=marked, grade=grade, split=split)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory, draw: Any, write: Any) -> list[Sample]:
    folder = tmp_path_factory.mktemp("known")
    kinds = [None] * 36 + ["paint"] * 8 + ["stain"] * 8
    train = [_drawn(draw, write, folder, f"train{i}", 2000 + i, kind, TRAIN) for i, kind in enumerate(kinds)]
    test = [None] * 8 + ["paint"] * 6 + ["stain"] * 6
    return train + [_drawn(draw, write, folder, f"test{i}", 3000 + i, kind, TEST) for i, kind in enumerate(test)]


@pytest.fixture(scope="module")
def known(samples: list[Sample]) -> Recipe:
    return sightline.train([s for s in samples if s.split == TRAIN], **SETTINGS)


@pytest.fixture(scope="module")
def inspector(known: Recipe) -> Inspector:
    return Inspector(known, threads=1)


def test_the_card_says_what_was_learned(known: Recipe) -> None:
    assert known.card.types == ("paint", "stain")
    assert known.card.grades == ("0", "1", "2")
    found = known.card.recognition
    assert found is not None and found.exclusive and found.band is not None and found.calibration is not None
    assert found.calibration.good == 36  # every good part was held out once
    assert {name: bound.of for name, bound in found.held_out.items()} == {"paint": 8, "stain": 8}
    assert known.card.parity is not None and known.card.parity.max_relative_difference <= 1e-3


def test_unseen_parts_are_named_placed_and_graded(inspector: Inspector, samples: list[Sample]) -> None:
    right, graded, outlined, parts = 0, 0, 0, [s for s in samples if s.split == TEST]
    for sample in parts:
        result = inspector.inspect(sample.path)
        kind = next(iter(sample.types), None)
        best = max(result.types, key=lambda name: result.types[name])
        right += (best if result.types[best] > 1 - sum(result.types.values()) else None) == kind
        graded += result.grade == sample.grade
        outlined += kind in {defect.type for defect in result.defects}
    assert right >= len(parts) - 1
    assert graded >= 14  # of 20, in three grades
    assert outlined >= 10  # of 12 defective parts


def test_the_map_lies_on_the_defect(inspector: Inspector, samples: list[Sample]) -> None:
    for sample in (s for s in samples if s.split == TEST and s.defective):
        result, mask = inspector.inspect(sample.path), cv2.imread(str(sample.mask), 0) > 0
        assert result.defect_share is not None
        predicted = cv2.resize(result.defect_share, mask.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
        assert 2 * (predicted & mask).sum() / (predicted.sum() + mask.sum()) > 0.5


def test_a_stranger_is_unknown_and_never_ok(inspector: Inspector, draw: Any) -> None:
    image, _ = draw(4000)
    image[30:60, 20:70] = np.random.default_rng(0).integers(0, 256, (30, 50, 3))
    result = inspector.inspect(image)
    assert result.verdict is not Verdict.OK
    assert result.defects


def test_the_graph_has_the_outputs_that_are_promised(known: Recipe) -> None:
    model = onnx.load_from_string(known.data)
    names = [output.name for output in model.graph.output]
    assert names == ["score", "p_value", "heatmap", "embedding", "ood", "type_logits", "defect_map", "grade"]
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}


def test_batches_are_read_like_single_images(inspector: Inspector, samples: list[Sample]) -> None:
    paths = [s.path for s in samples if s.split == TEST][5:11]
    for path, one in zip(paths, inspector.inspect_many(paths, batch=6), strict=True):
        alone = inspector.inspect(path)
        assert alone.types == pytest.approx(dict(one.types), abs=1e-4)
        assert alone.grade == one.grade


def test_the_evaluation_states_types_grades_and_places(known: Recipe, samples: list[Sample]) -> None:
    found = sightline.evaluate(known, [s for s in samples if s.split == TEST])
    assert found.recognition is not None
    assert found.recognition.types is not None and found.recognition.types.balanced_accuracy.value > 0.9
    assert found.recognition.overlap is not None and found.recognition.overlap.dice > 0.5
    assert found.recognition.grades is not None
    text, plain = str(found), found.to_json()
    assert "Named type" in text and "Dice" in text and "kappa" in text
    assert plain["recognition"]["types"]["accuracy"]["of"] == 20


def test_several_types_on_one_part(samples: list[Sample]) -> None:
    train = [s for s in samples if s.split == TRAIN]
    both = [replace(s, types=("paint", "stain")) if i % 4 == 0 and s.defective else s for i, s in enumerate(train)]
    with pytest.warns(TrainingWarning, match="does not say which of 'paint', 'stain' it marks"):
        recipe = sightline.train(both, **SETTINGS)
    assert recipe.card.recognition is not None and not recipe.card.recognition.exclusive
    types = Inspector(recipe, threads=1).inspect(train[-1].path).types
    assert all(0 <= share <= 1 for share in types.values())


def test_few_good_parts_name_but_decide_nothing(samples: list[Sample]) -> None:
    train = [s for s in samples if s.split == TRAIN]
    few = [s for s in train if not s.defective][:8] + [s for s in train if s.defective]
    with pytest.warns(TrainingWarning, match="too few for a threshold on known types"):
        recipe = sightline.train(few, **SETTINGS)
    assert recipe.card.types and recipe.card.recognition is not None and recipe.card.recognition.band is None


def test_labels_may_be_left_alone(samples: list[Sample]) -> None:
    recipe = sightline.train([s for s in samples if s.split == TRAIN], **SETTINGS, classify=False)
    assert recipe.card.types == () and recipe.card.recognition is None


def test_equal_seeds_give_equal_recognisers(known: Recipe, samples: list[Sample]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = sightline.train([s for s in samples if s.split == TRAIN], **SETTINGS)
    first, second = (onnx.load_from_string(recipe.data) for recipe in (known, again))
    weights = [
        {t.name: t.raw_data for t in model.graph.initializer if t.name.startswith("known_")}
        for model in (first, second)
    ]
    assert weights[0] == weights[1]
