"""Dice and IoU of defect maps."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.evaluate.metrics.overlap import overlap


def marks(*marked):
    """(4, 5) bool with the given (row, columns) marked."""
    grid = np.zeros((4, 5), bool)
    for row, columns in marked:
        grid[row, columns] = True
    return grid


def test_by_hand() -> None:
    row = slice(0, 4)
    found = overlap(
        [
            (marks((0, row)), marks((0, slice(1, 5)))),  # 3 shared, 4 and 4
            (marks((1, row), (2, slice(0, 2))), marks((1, row))),  # 4 shared, 6 and 4
            (marks(), marks()),  # good, and nothing marked
            (marks(), marks((3, slice(0, 2)))),  # good, and marked
        ]
    )
    assert found.dice == pytest.approx((3 / 4 + 8 / 10) / 2)
    assert found.iou == pytest.approx((3 / 5 + 4 / 6) / 2)
    assert (found.defective, found.marked_good.count, found.marked_good.of) == (2, 1, 2)


def test_equals_counting_pixel_by_pixel() -> None:
    random = np.random.default_rng(0)
    pairs = [(random.random((6, 7)) < 0.3, random.random((6, 7)) < 0.4) for _ in range(5)]
    found = overlap(iter(pairs))
    dice, iou = [], []
    for truth, predicted in pairs:
        a = {pixel for pixel in np.ndindex(6, 7) if truth[pixel]}
        b = {pixel for pixel in np.ndindex(6, 7) if predicted[pixel]}
        dice.append(2 * len(a & b) / (len(a) + len(b)))
        iou.append(len(a & b) / len(a | b))
    assert (found.dice, found.iou) == (pytest.approx(np.mean(dice)), pytest.approx(np.mean(iou)))


def test_no_images_and_no_defects_give_none() -> None:
    for found in (overlap([]), overlap([(marks(), marks())])):
        assert (found.dice, found.iou, found.defective) == (None, None, 0)


def test_maps_that_do_not_fit_are_refused_with_a_remedy() -> None:
    with pytest.raises(ValueError, match="Bring both to one size"):
        overlap([(marks(), np.zeros((4, 9), bool))])
    with pytest.raises(ValueError, match="threshold"):
        overlap([(marks(), np.zeros((4, 5), np.float32))])
