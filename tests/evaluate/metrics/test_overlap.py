"""Dice and IoU of defect maps."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.evaluate.metrics.overlap import overlaps

TYPES = ("chip", "scratch")


def maps(*marked):
    """(2, 4, 5) bool with the given (type, row, columns) marked."""
    grid = np.zeros((2, 4, 5), bool)
    for kind, row, columns in marked:
        grid[kind, row, columns] = True
    return grid


def test_by_hand() -> None:
    row = slice(0, 4)
    found = overlaps(
        [
            ("one", maps((0, 0, row)), maps((0, 0, slice(1, 5)))),  # 3 shared, 4 and 4
            ("two", maps((0, 1, row), (1, 2, slice(0, 2))), maps((0, 1, row))),  # all of chip, nothing of scratch
            ("good", maps(), maps()),
            ("marked", maps(), maps((1, 3, slice(0, 2)))),
        ],
        TYPES,
    )
    one, two, good, marked = found.images
    assert (one.dice, one.iou) == (3 / 4, 3 / 5)
    assert (two.dice, two.iou) == (pytest.approx(8 / 10), pytest.approx(4 / 6))
    assert (good.dice, good.iou, good.defective) == (None, None, False)
    assert (marked.dice, marked.iou) == (0.0, 0.0)
    assert found.dice == pytest.approx((3 / 4 + 8 / 10) / 2)
    assert found.iou == pytest.approx((3 / 5 + 4 / 6) / 2)
    assert (found.defective, found.marked_good.count, found.marked_good.of) == (2, 1, 2)
    chip, scratch = found.types
    assert (chip.dice, chip.iou, chip.images) == (pytest.approx((3 / 4 + 1) / 2), pytest.approx((3 / 5 + 1) / 2), 2)
    assert (chip.pooled_dice, chip.pooled_iou) == (pytest.approx(14 / 16), pytest.approx(7 / 9))
    assert (scratch.dice, scratch.pooled_iou, scratch.images) == (0.0, 0.0, 1)
    assert json.loads(json.dumps(found.to_json()))["images"][2]["dice"] is None


def test_equals_counting_pixel_by_pixel() -> None:
    random = np.random.default_rng(0)
    pairs = [(f"{n}", random.random((2, 6, 7)) < 0.3, random.random((2, 6, 7)) < 0.4) for n in range(5)]
    found = overlaps(iter(pairs), TYPES)
    ious = []
    for _, truth, said in pairs:
        a = {place for place in np.ndindex(6, 7) if truth[0][place]}
        b = {place for place in np.ndindex(6, 7) if said[0][place]}
        ious.append(len(a & b) / len(a | b))
    assert found.types[0].iou == pytest.approx(np.mean(ious))
    for image in found.images:
        assert image.dice == pytest.approx(2 * image.iou / (1 + image.iou))


def test_no_images_and_no_defects_give_none() -> None:
    for found in (overlaps([], TYPES), overlaps([("good", maps(), maps())], TYPES)):
        assert (found.dice, found.iou, found.defective) == (None, None, 0)
        assert (found.types[0].dice, found.types[0].pooled_iou, found.types[0].images) == (None, None, 0)


def test_maps_that_do_not_fit_are_refused_with_a_remedy() -> None:
    with pytest.raises(InputError, match=r"x.png: the mask is 5 x 4 px but the map is 9 x 4 px. Bring both"):
        overlaps([("x.png", maps(), np.zeros((2, 4, 9), bool))], TYPES)
    with pytest.raises(ValueError, match="threshold"):
        overlaps([("x.png", maps(), np.zeros((2, 4, 5), np.float32))], TYPES)
    with pytest.raises(ValueError, match="one map per type"):
        overlaps([("x.png", maps(), maps())], ("chip",))
