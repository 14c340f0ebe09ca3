"""Regions: hot places become outlines in image pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sightline.runtime.region import MAX_REGIONS, find_defects

SIZE = (96, 128)  # of the image; the heat grid is a quarter of it


def _heat(*spots: tuple[slice, slice, float]) -> np.ndarray:
    heat = np.zeros((24, 32), np.float32)
    for rows, columns, value in spots:
        heat[rows, columns] = value
    return heat


def test_a_hot_rectangle_is_outlined_in_pixels() -> None:
    (defect,) = find_defects(_heat((slice(5, 8), slice(10, 16), 9.0)), SIZE, threshold=5.0)
    assert defect.box == (40, 20, 24, 12)
    assert defect.area_px == 24 * 12
    assert defect.area_mm2 is None
    assert defect.score == 9.0
    assert defect.type == "anomaly"
    assert defect.contour.dtype == np.int32
    assert cv2.boundingRect(defect.contour) == (40, 20, 24, 12)


def test_the_hottest_region_comes_first() -> None:
    heat = _heat((slice(2, 4), slice(2, 4), 6.0), (slice(10, 12), slice(2, 4), 9.0), (slice(20, 22), slice(2, 4), 7.0))
    assert [defect.score for defect in find_defects(heat, SIZE, threshold=5.0)] == [9.0, 7.0, 6.0]


def test_cells_that_touch_at_a_corner_are_one_defect() -> None:
    heat = _heat((slice(2, 4), slice(2, 4), 6.0), (slice(4, 6), slice(4, 6), 6.0))
    (defect,) = find_defects(heat, SIZE, threshold=5.0)
    assert defect.area_px == 2 * 8 * 8


def test_millimetres_follow_from_the_scale() -> None:
    (defect,) = find_defects(_heat((slice(5, 8), slice(10, 16), 9.0)), SIZE, threshold=5.0, mm_per_px=0.1)
    assert defect.area_mm2 == pytest.approx(24 * 12 * 0.01)


def test_where_nothing_passes_the_threshold_the_peak_is_outlined() -> None:
    heat = _heat(
        (slice(5, 6), slice(10, 11), 3.0), (slice(5, 6), slice(11, 12), 2.5), (slice(20, 22), slice(2, 4), 1.0)
    )
    (defect,) = find_defects(heat, SIZE, threshold=5.0)
    assert defect.box == (40, 20, 8, 4)


def test_flat_heat_is_one_region_over_the_whole_part() -> None:
    (defect,) = find_defects(np.full((24, 32), 2.0, np.float32), SIZE, threshold=5.0)
    assert defect.box == (0, 0, 128, 96)


def test_the_number_of_regions_is_bounded() -> None:
    heat = np.zeros((40, 40), np.float32)
    heat[::2, ::2] = np.arange(1, 401).reshape(20, 20)
    defects = find_defects(heat, (160, 160), threshold=0.5)
    assert [defect.score for defect in defects] == list(range(400, 400 - MAX_REGIONS, -1))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_heat_without_a_peak_has_no_outlines(value: float) -> None:
    heat = _heat((slice(5, 8), slice(10, 16), 9.0))
    heat[0, 0] = value
    assert find_defects(heat, SIZE, threshold=5.0) == ()


@pytest.mark.parametrize("size", [(7, 9), (16, 17), (97, 131), (1000, 20_000), (20_000, 16)])
def test_boxes_and_contours_stay_inside_images_of_any_size(size: tuple[int, int]) -> None:
    heat = np.random.default_rng(0).random((24, 32)).astype(np.float32)
    heat[-1, -1] = 2.0  # the last cell: rounding must not push it over the edge
    for defect in find_defects(heat, size, threshold=0.8):
        x, y, w, h = defect.box
        assert x >= 0 and y >= 0 and w >= 1 and h >= 1
        assert x + w <= size[1] and y + h <= size[0]
        assert (defect.contour >= (x, y)).all()
        assert (defect.contour < (x + w, y + h)).all()
