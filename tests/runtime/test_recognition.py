"""Names of places: what a part as a whole is said not to carry is not a region's type."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.result import Box, Defect
from sightline.runtime.inspection import UNKNOWN, find_defects
from sightline.runtime.letterbox import Letterbox
from sightline.runtime.recognition import FADE, Predictions, back, name_defects, read_boxes

SIZE = (80, 80)


def _found() -> tuple[Defect, ...]:
    heat = np.zeros((10, 10), np.float32)
    heat[2:4, 2:4], heat[7:9, 7:9] = 9.0, 8.0
    return find_defects(heat, SIZE, 5.0)


def _known(crack: float, fracture: float) -> Predictions:
    """The class map says `break` at both places, whatever the part as a whole is said to be."""
    shares = np.zeros((2, 10, 10), np.float32)
    shares[1, 2:4, 2:4] = shares[1, 7:9, 7:9] = 0.9
    shares[1, 5, 0] = 0.9  # seen by the class map alone
    return Predictions(MappingProxyType({"crack": crack, "break": fracture}), 3.0, shares, None)


def _types(known: Predictions, exclusive: bool) -> set[str]:
    def spread(share: NDArray[np.float32]) -> NDArray[np.float32]:
        return share

    return {defect.type for defect in name_defects(_found(), known, spread, SIZE, None, exclusive)}


def test_regions_take_the_type_of_a_part_that_carries_one() -> None:
    assert _types(_known(0.97, 0.0), exclusive=True) == {"crack"}
    assert _types(_known(0.6, 0.3), exclusive=True) == {"crack"}


def test_a_type_that_the_part_does_not_carry_is_not_named() -> None:
    assert _types(_known(0.97, 0.01), exclusive=False) == {"crack"}
    assert _types(_known(0.1, 0.01), exclusive=True) == {UNKNOWN}


def test_places_keep_their_own_types_where_a_part_may_carry_several() -> None:
    assert _types(_known(0.97, 0.8), exclusive=False) == {"break"}
    assert _types(_known(0.3, 0.4), exclusive=True) == {"break"}


# Box answers become boxes on the image.

PLACE = Letterbox((100, 200), (0, 0, 200, 100), (0, 32, 128, 64), (128, 128))


def test_corners_go_back_to_the_image_and_doubles_fade() -> None:
    corners = np.array([[32, 48, 64, 64], [34, 48, 64, 64], [0, 32, 16, 48], [np.nan, 0, 1, 1]], np.float32).T
    scores = np.array([[0.9, 0.8, 0.01, 0.9], [0.0, 0.0, 0.6, 0.0]], np.float32)
    found = read_boxes(scores, corners, ("dent", "scratch"), PLACE)
    assert [(box.type, round(box.score, 2)) for box in found[:2]] == [("dent", 0.9), ("scratch", 0.6)]
    assert found[0].xywh == pytest.approx((50, 25, 50, 25))
    assert found[1].xywh == pytest.approx((0, 0, 25, 25))
    (double,) = found[2:]
    iou = 30 / 32  # of the input's pixels; both are 16 high
    assert double.score == pytest.approx(0.8 * np.exp(-(iou**2) / FADE), abs=1e-3)
    assert double.xywh == pytest.approx((34 / 128 * 200, 25, 30 / 128 * 200, 25), abs=1e-4)


def test_one_place_is_one_box_and_other_types_and_places_keep_their_score() -> None:
    corners = np.array([[0, 32, 40, 72], [0, 32, 40, 72], [60, 32, 100, 72]], np.float32).T
    scores = np.array([[0.9, 0.3, 0.5], [0.0, 0.8, 0.0]], np.float32)
    found = read_boxes(scores, corners, ("dent", "scratch"), PLACE)
    assert [(box.type, round(box.score, 2)) for box in found] == [("dent", 0.9), ("scratch", 0.8), ("dent", 0.5)]


def test_boxes_of_a_very_large_image_are_compared_without_overflow() -> None:
    place = Letterbox((60_000, 80_000), (0, 0, 80_000, 60_000), (0, 16, 128, 96), (128, 128))
    corners = np.array([[0, 16, 128, 112], [0, 16, 64, 112], [64, 16, 128, 112]], np.float32).T
    found = read_boxes(np.array([[0.9, 0.8, 0.7]], np.float32), corners, ("dent",), place)
    faded = np.exp(-0.25 / FADE)
    assert [box.score for box in found] == pytest.approx([0.9, 0.8 * faded, 0.7 * faded], abs=1e-3)


def test_boxes_outside_are_cut_and_empty_ones_left_out() -> None:
    corners = np.array([[-20, 20, 200, 200], [0, 0, 20, 30]], np.float32).T
    found = read_boxes(np.array([[0.9, 0.9]], np.float32), corners, ("dent",), PLACE)
    assert [box.xywh for box in found] == [pytest.approx((0, 0, 200, 100))]


def test_a_turned_part_gets_upright_boxes() -> None:
    quarter = np.array([[0.0, -1.0, 100.0], [1.0, 0.0, 0.0]])
    (box,) = back((Box("dent", 0.5, (10.0, 20.0, 30.0, 10.0)),), quarter)
    assert box.xywh == pytest.approx((70, 10, 10, 30))
    same = (Box("dent", 0.5, (1.0, 2.0, 3.0, 4.0)),)
    assert back(same, np.eye(2, 3)) is same
