"""Boxes learned from drawn ones: assigned, learned, exported, and brought back onto the image."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

import sightline
from sightline.core.region import Polygons, Rectangle, Region
from sightline.core.sample import Sample
from sightline.data.augment import LOOKS, Augmentation
from sightline.evaluate.metrics.detection import Boxes, box_scores
from sightline.models.detector import BoxHead
from sightline.runtime.inspector import Inspector
from sightline.runtime.letterbox import fit_letterbox
from sightline.runtime.recipe import Recipe
from sightline.train.classify import classifier
from sightline.train.classify import detector as learning
from sightline.train.classify.detector import _assign, _overlap, fit_boxes
from sightline.train.finetune import loop, selection
from sightline.train.finetune.validation import ValidationScore
from sightline.train.labels.targets import BoxTargets, LabelMap, boxes_on_input, input_corners
from sightline.train.settings import TrainSettings

SETTINGS = {"side_px": 160, "bank_size": 256, "sample_patches": 4000, "threads": 1, "synthetic": 0}
COLOURS = {"paint": (40, 60, 235), "stain": (230, 230, 20)}


def _part(draw: Any, write: Any, folder: Path, seed: int) -> Sample:
    """Two or three marks, some of which touch."""
    image, _ = draw(seed, height=160, width=160)
    rng = np.random.default_rng(seed)
    regions = []
    for _ in range(int(rng.integers(2, 4))):
        kind = ("paint", "stain")[int(rng.integers(2))]
        w, h = int(rng.integers(24, 50)), int(rng.integers(24, 50))
        x, y = int(rng.integers(0, 160 - w)), int(rng.integers(0, 160 - h))
        cv2.rectangle(image, (x, y), (x + w - 1, y + h - 1), COLOURS[kind], -1)
        cv2.rectangle(image, (x, y), (x + w - 1, y + h - 1), (10, 10, 10), 2)
        regions.append(Region(kind, Rectangle(x, y, w, h)))
    path = write(folder / f"{seed}.png", image)
    return Sample(path, True, tuple({region.type for region in regions}), regions=tuple(regions))


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory, draw: Any, write: Any) -> list[Sample]:
    folder = tmp_path_factory.mktemp("boxed")
    return [_part(draw, write, folder, 8000 + number) for number in range(60)]


@pytest.fixture(scope="module")
def recipe(samples: list[Sample]) -> Recipe:
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr(learning, "WIDTH", 32)
        patch.setattr(learning, "BATCH", 8)
        return sightline.train(samples[:48], **SETTINGS)


def test_a_cell_answers_for_the_smallest_box_around_it() -> None:
    centres = BoxHead(("a",), (4,), 1, 8, 8).centres(8, 8)
    corners = torch.tensor([[0.0, 0.0, 64.0, 64.0], [16.0, 16.0, 32.0, 32.0]])
    which, sides = _assign(centres, corners, 8)
    grid = which.view(8, 8)
    assert grid[2, 2] == 1 and grid[4, 4] == 0 and grid[0, 0] == -1
    assert sides.view(8, 8, 4)[2, 2].tolist() == [4, 4, 12, 12]
    nothing, _ = _assign(centres, torch.zeros(0, 4), 8)
    assert (nothing == -1).all()


def test_mirroring_twice_changes_nothing() -> None:
    boxes = BoxTargets(np.array([[10.0, 5.0, 30.0, 25.0]], np.float32), np.array([1]))
    assert boxes.mirrored(100).corners.tolist() == [[70, 5, 90, 25]]
    assert np.array_equal(boxes.mirrored(100).mirrored(100).corners, boxes.corners)


def test_boxes_move_as_their_pixels_do() -> None:
    """A square that is drawn, moved with the picture, and found again lies where its box was moved to."""
    rng = np.random.default_rng(3)
    augment = Augmentation(1.0, {*LOOKS, "rotation"})
    for _ in range(20):
        image = np.zeros((80, 120, 3), np.uint8)
        image[20:44, 30:70] = 255
        boxes = BoxTargets(np.array([[30.0, 20, 70, 44]], np.float32), np.array([0]))
        made, _, matrix = augment.with_move(image, np.zeros((0, 80, 120), np.float32), rng)
        (corners,) = boxes.moved(matrix, (80, 120)).corners
        rows, columns = (np.flatnonzero((made[..., 0] > 127).any(axis)) for axis in (1, 0))
        found = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        assert corners == pytest.approx(found, abs=1.0)


def test_a_box_that_leaves_the_picture_is_nobodys() -> None:
    away = np.array([[1.0, 0, -60], [0, 1, 0], [0, 0, 1]])
    boxes = BoxTargets(np.array([[10.0, 5, 70, 25], [50, 5, 90, 25]], np.float32), np.array([0, 1]))
    moved = boxes.moved(away, (40, 100))
    assert moved.types.tolist() == [1] and moved.corners.tolist() == [[0, 5, 30, 25]]


def test_only_what_people_have_said_of_boxes_is_known() -> None:
    label_map, where, path = LabelMap(("a", "b"), (), True), fit_letterbox((40, 40), (40, 40)), Path("x.png")
    box, mask = Region("b", Rectangle(4, 6, 10, 8)), Region("b", Polygons((((0.0, 0.0), (9.0, 0.0), (9.0, 9.0)),)))
    good = boxes_on_input(Sample(path, False), where, label_map)
    assert good is not None and good.corners.shape == (0, 4)
    assert boxes_on_input(Sample(path, None), where, label_map) is None
    assert boxes_on_input(Sample(path, True, ("b",)), where, label_map) is None
    assert boxes_on_input(Sample(path, True, ("b",), regions=(box, mask)), where, label_map) is None
    drawn = boxes_on_input(Sample(path, True, ("b",), regions=(box,)), where, label_map)
    assert drawn is not None and drawn.corners.tolist() == [[4, 6, 14, 14]] and drawn.types.tolist() == [1]


def test_generalised_overlap() -> None:
    same = torch.tensor([[2.0, 3.0, 4.0, 5.0]])
    generalised, iou = _overlap(same, same)
    assert iou.item() == pytest.approx(1.0) and generalised.item() == pytest.approx(1.0)
    _, half = _overlap(torch.tensor([[1.0, 1.0, 1.0, 1.0]]), torch.tensor([[1.0, 1.0, 3.0, 1.0]]))
    assert half.item() == pytest.approx(0.5)


def test_the_recipe_draws_boxes_where_they_are(recipe: Recipe, samples: list[Sample]) -> None:
    assert recipe.card.recognition is not None and recipe.card.recognition.boxes
    inspector, truth, predicted = Inspector(recipe, threads=1), [], []
    for sample in samples[48:]:
        found = inspector.inspect(sample.path).boxes
        truth.append(Boxes.of([r.box for r in sample.regions], [r.type for r in sample.regions]))
        predicted.append(Boxes.of([x.xywh for x in found], [x.type for x in found], [x.score for x in found]))
        assert all(
            x >= 0 and y >= 0 and x + w <= 160.01 and y + h <= 160.01 for x, y, w, h in predicted[-1].xywh.tolist()
        )
    scores = box_scores(truth, predicted)
    assert scores.map50 is not None and scores.map50 > 0.5


def test_boxes_are_in_the_json_and_in_the_figures(recipe: Recipe, samples: list[Sample]) -> None:
    told = Inspector(recipe, threads=1).inspect(samples[50].path).to_json()
    assert {"type", "score", "box"} == set(told["boxes"][0])
    found = sightline.evaluate(recipe, samples[48:], threads=1).recognition
    assert found is not None and found.boxes is not None and found.boxes.map50 is not None and found.boxes.map50 > 0.5


def test_few_boxes_teach_none() -> None:
    few: Any = [SimpleNamespace(boxes=BoxTargets(np.zeros((learning.MIN_BOXES - 1, 4), np.float32),
                                                 np.zeros(learning.MIN_BOXES - 1, np.int64)))]  # fmt: skip
    nothing: Any = None
    assert fit_boxes(nothing, few, nothing, 2, TrainSettings(), nothing) is None


def test_the_head_standardises_what_it_sees() -> None:
    net = BoxHead(("a", "b"), (4, 6), 2, 8, 8)
    assert [len(standard.mean) for standard in net.standards] == [4, 6]
    maps = {"a": torch.rand(2, 4, 8, 8), "b": torch.rand(2, 6, 4, 4)}
    scores, corners = net.answers(maps)
    assert scores.shape == (2, 2, 64) and corners.shape == (2, 4, 64)
    assert bool((corners[:, 2] > corners[:, 0]).all()) and bool(((scores >= 0) & (scores <= 1)).all())
    assert isinstance(net.types, nn.Conv2d)


def test_boxes_move_with_an_aligned_part() -> None:
    boxes = np.array([[10.0, 20, 30, 8]])
    where = fit_letterbox((64, 96), (128, 192), scale=2.0)
    assert input_corners(boxes, where) == pytest.approx(np.array([[20, 40, 80, 56]]))
    shifted = input_corners(boxes, where, np.array([[1.0, 0, 4], [0, 1, -2]]))
    assert shifted == pytest.approx(np.array([[12, 44, 72, 60]]))
    quarter = input_corners(boxes, where, np.array([[0.0, -1, 63], [1, 0, 0]]))  # its sides change places
    assert quarter[0, 2] - quarter[0, 0] == pytest.approx(16) and quarter[0, 3] - quarter[0, 1] == pytest.approx(60)


def test_boxes_learn_with_the_backbone(samples: list[Sample], recipe: Recipe, tmp_path: Path) -> None:
    """Without a good part, too; the judging side says that the fine-tuned backbone is better."""
    values, rising = iter([0.5, 0.75]), iter([0.1, 0.2, 0.3])
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setenv("SIGHTLINE_CACHE", str(tmp_path))
        patch.setattr(learning, "WIDTH", 32)
        patch.setattr(learning, "BATCH", 8)
        patch.setattr(learning, "MIN_BOXES", 50)  # not all of the parts teach
        patch.setattr(learning, "MIN_STEPS", 40)
        patch.setattr(classifier, "MIN_STEPS", 20)
        patch.setattr(
            selection, "validation_score_of", lambda net, parts, counts: ValidationScore(next(values), 1.0, len(parts))
        )
        patch.setattr(
            loop, "validation_score_of", lambda net, parts, counts: ValidationScore(next(rising), 1.0, len(parts))
        )
        patch.setattr(loop, "MIN_STEPS", 16)
        tuned = sightline.train(samples[:48], **SETTINGS, backbone_training="fine-tuned", tune_epochs=2, tune_batch=8)
    assert tuned.card.choices["backbone"].startswith("fine-tuned: 2 epochs")
    assert "mean of recall and boxes' mAP50 of 0.300" in tuned.card.choices["backbone"]
    assert tuned.card.recognition is not None and tuned.card.recognition.boxes
    predicted, plain = (Inspector(one, threads=1).inspect(samples[50].path).boxes for one in (tuned, recipe))
    assert predicted and [box.xywh for box in predicted] != [box.xywh for box in plain]
