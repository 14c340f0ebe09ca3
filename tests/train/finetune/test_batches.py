"""Who learns, who stops and who judges: whole groups, and every side has seen defects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from sightline.data.augment import LOOKS, MOVES, Augmentation
from sightline.imaging.image import Image
from sightline.train.backbone.cache import CachedMaps
from sightline.train.backbone.torch_extractor import TorchExtractor
from sightline.train.classify import classifier
from sightline.train.classify.classifier import fit_classifier
from sightline.train.finetune.batches import Views, augmented, label, split_parts
from sightline.train.labels.targets import Labelled, LabelMap
from sightline.train.settings import TrainSettings


@pytest.mark.parametrize("count", [60, 300])
def test_no_group_is_on_two_sides(count: int, parts_of: Callable[..., list[Labelled]]) -> None:
    labelled = parts_of(count)
    split = split_parts(labelled, 0)
    assert split is not None
    sides = [split.learning, split.stopping, split.judging]
    assert sorted(index for side in sides for index in side) == list(range(count))
    units = [{labelled[index].part.unit for index in side} for side in sides]
    assert not units[0] & units[1] and not units[0] & units[2] and not units[1] & units[2]
    for side in sides:
        assert {bool(labelled[index].part.sample.defective) for index in side} == {True, False}
    assert len(split.learning) >= 0.55 * count


def test_too_little_is_said(part_of: Callable[..., Labelled]) -> None:
    assert split_parts([part_of(i, 0, i) for i in range(30)] + [part_of(90, 1, 90), part_of(91, 1, 91)], 0) is None
    one_group = [part_of(i, i % 3, i if i % 3 == 0 else 1000) for i in range(30)]
    assert split_parts(one_group, 0) is None


# Batches: the same for the same seed and step, fair to rare classes, with marks that move along.

Parts = Callable[..., list[Labelled]]


def test_a_step_is_the_same_from_wherever_it_is_reached(parts_of: Parts, settings: TrainSettings) -> None:
    views = Views(parts_of(12), settings)
    whole = list(islice(views.batches(0), 7))
    late = list(islice(Views(parts_of(12), settings).batches(5), 2))
    for one, other in zip(whole[5:], late, strict=True):
        assert all(np.array_equal(a.image, b.image) and a.part == b.part for a, b in zip(one, other, strict=True))
    assert not np.array_equal(whole[0][0].image, whole[1][0].image)
    other = next(Views(parts_of(12), settings.model_copy(update={"seed": 1})).batches(0))
    assert any(not np.array_equal(a.image, b.image) for a, b in zip(whole[0], other, strict=True))


def test_marks_move_with_the_picture(part_of: Callable[..., Labelled]) -> None:
    for number in range(20):
        x = augmented(part_of(number, 1, 0), Augmentation(1.0), np.random.default_rng(number))
        assert x.cells is not None
        red = x.image[..., 0].astype(float) - x.image[..., 2]
        y, x_ = np.unravel_index(np.argmax(x.cells[1]), (8, 8))
        assert red.reshape(8, 4, 8, 4).mean((1, 3))[y, x_] > 60
        assert np.allclose(x.cells[0], 1 - x.cells[1:].max(0))


def test_a_ruled_out_flip_never_comes(part_of: Callable[..., Labelled]) -> None:
    part = part_of(0, 0, 0)
    image = part.image.copy()
    image[:, :16] = 20  # dark on the left
    calm = set(MOVES) | set(LOOKS)
    for without, mirrored in ((calm, False), (calm - {"flip"}, True)):
        turned = [
            augmented(replace(part, image=image), Augmentation(1.0, without), np.random.default_rng(i))
            .image[:, :16]
            .mean()
            for i in range(30)
        ]
        assert (max(turned) > 60) == mirrored


def test_parts_without_marks_stay_without(part_of: Callable[..., Labelled]) -> None:
    x = augmented(replace(part_of(0, 1, 0), cells=None), Augmentation(0.5), np.random.default_rng(0))
    assert x.cells is None and x.image.shape == (32, 32, 3)


def test_rare_classes_are_drawn_more_often_and_the_prior_says_so(part_of: Callable[..., Labelled]) -> None:
    many = [part_of(i, 0, i) for i in range(90)] + [part_of(100 + i, 1, 100 + i) for i in range(10)]
    views = Views(many, TrainSettings(tune_batch=10))
    counts = views.counts(3).numpy()
    shares = counts / counts.sum()
    assert shares[1] == pytest.approx(0.25, abs=0.03)  # 10 of 100 parts, by the roots of the counts
    assert shares.sum() == pytest.approx(1) and shares[2] > 0
    drawn = [x.classes[1] for batch in islice(views.batches(0), 20) for x in batch if x.classes is not None]
    assert np.mean(drawn) == pytest.approx(0.25, abs=0.06)


def test_what_a_part_counts_as(part_of: Callable[..., Labelled]) -> None:
    good, red = part_of(0, 0, 0), part_of(1, 1, 0)
    assert label(good) == () and label(red) == (0,)
    assert label(replace(good, classes=None, grade=2)) == "grade 2"
    assert label(replace(good, classes=None, grade=0)) == ()
    assert label(replace(red, classes=np.zeros(3, bool))) == "unnamed"


@pytest.mark.parametrize(("without", "mirrored"), [((), True), (("flip",), False)])
def test_a_ruled_out_flip_holds_for_the_heads_on_the_frozen_backbone(
    without: tuple[str, ...], mirrored: bool, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "MIN_STEPS", 4)
    asked: list[bool] = []

    class Watched(CachedMaps):
        def batch(self, parts: Sequence[tuple[str, Image, bool]]) -> dict[str, Tensor]:
            asked.extend(turned for _, _, turned in parts)
            return super().batch(parts)

    maps_of = Watched(TorchExtractor(tiny.source), tiny.source)
    label_map = LabelMap(("type1", "type2"), (), True)
    fit_classifier(maps_of, tiny.learning, label_map, TrainSettings(augment_without=without), lambda *_: None)
    assert any(asked) is mirrored and len(asked) > 0


def test_boxes_move_with_the_picture_and_are_not_turned(boxed: Parts, settings: TrainSettings) -> None:
    found = 0
    for batch in islice(Views(boxed(12), settings).batches(0), 10):
        for x in batch:
            assert x.boxes is not None
            for kind, (left, top, right, bottom) in zip(x.boxes.types, x.boxes.corners, strict=True):
                colour = x.image[..., 0].astype(float) - x.image[..., 2]
                marked = (colour if kind == 0 else -colour) > 60
                inside = marked[round(top) : round(bottom), round(left) : round(right)]
                assert inside.mean() > 0.6 and inside.sum() > 0.6 * marked.sum()  # a border mirrors
                found += 1
    assert found > 15
