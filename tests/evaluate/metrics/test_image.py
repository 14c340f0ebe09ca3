"""Ranking metrics of images and pixels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from sightline.evaluate.metrics.image import image_auroc, image_metrics, pixel_auroc
from sightline.evaluate.metrics.pixel import pixel_curve


def test_image_metrics_equal_scikit_learn_with_ties() -> None:
    random = np.random.default_rng(3)
    labels = random.random(200) < 0.3
    scores = np.round(random.normal(size=200) + labels, 1)
    found = image_metrics(scores, labels)
    precision, recall, _ = sk.precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    assert found.auroc == pytest.approx(sk.roc_auc_score(labels, scores))
    assert found.ap == pytest.approx(sk.average_precision_score(labels, scores))
    assert found.f1_max == pytest.approx(f1.max())
    assert found.f1_threshold is not None
    assert found.f1_max == pytest.approx(sk.f1_score(labels, scores >= found.f1_threshold))
    assert found.notes == ()


@pytest.mark.parametrize(("labels", "word"), [([0, 0, 0], "good"), ([1, 1, 1], "defective"), ([], "No image")])
def test_one_class_gives_none_and_a_sentence(labels: list[int], word: str) -> None:
    found = image_metrics(np.arange(len(labels)), labels)
    assert (found.auroc, found.ap, found.f1_max, found.f1_threshold) == (None, None, None, None)
    assert word in found.notes[0]


def test_all_scores_equal_is_chance() -> None:
    assert image_auroc([1, 1, 1, 1], [0, 1, 0, 1]) == 0.5


def test_scores_that_are_not_finite_rank_highest() -> None:
    assert image_auroc([0.0, 1.0, np.nan, np.inf], [0, 0, 1, 1]) == 1.0
    assert image_auroc([np.nan, 1.0, 2.0], [0, 1, 1]) == 0.0


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one label per score"):
        image_auroc([1.0, 2.0], [True])


@pytest.mark.parametrize(("decimals", "bins", "tolerance"), [(1, 4096, 1e-12), (9, 256, 1 / 256), (9, 4096, 1e-4)])
def test_pixel_auroc_equals_scikit_learn(decimals: int, bins: int, tolerance: float) -> None:
    random = np.random.default_rng(5)
    masks = random.random((6, 40, 50)) < 0.1
    heat = np.round(random.standard_t(3, masks.shape) + 1.5 * masks, decimals)
    found = pixel_auroc(pixel_curve(lambda: zip(heat, masks, strict=True), bins))
    assert found == pytest.approx(sk.roc_auc_score(masks.ravel(), heat.ravel()), abs=tolerance)


def test_pixel_auroc_without_defective_or_without_normal_pixels_is_none() -> None:
    heat = np.zeros((4, 4), np.float32)
    assert pixel_auroc(pixel_curve(lambda: [(heat, np.zeros((4, 4), bool))])) is None
    assert pixel_auroc(pixel_curve(lambda: [(heat, np.ones((4, 4), bool))])) is None
    assert pixel_auroc(pixel_curve(lambda: [])) is None
