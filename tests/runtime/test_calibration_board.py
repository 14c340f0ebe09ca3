"""A calibration board: the scale is right, whatever part of it is seen, and a camera that is tilted is named."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.runtime.calibration_board import board_of, draw_board, measure_scale, square_px

COLUMNS, ROWS, SQUARE_MM = 8, 6, 10.0


def photo(mm_per_px: float, angle: float = 0.0, tilt: float = 0.0) -> np.ndarray:
    """The board as a camera sees it: turned by `angle` degrees, nearer on one side by `tilt`; each of its pixels is
    the mean of 4 x 4 points."""
    board = draw_board(COLUMNS, ROWS, SQUARE_MM)
    zoom = SQUARE_MM / square_px(SQUARE_MM) / mm_per_px
    turn = np.deg2rad(angle)
    rotate = np.array([[np.cos(turn), -np.sin(turn), 700], [np.sin(turn), np.cos(turn), 700], [0, 0, 1]])
    centre = np.array([[1, 0, -board.shape[1] / 2], [0, 1, -board.shape[0] / 2], [0, 0, 1]], float)
    lean = np.array([[1, 0, 0], [0, 1, 0], [tilt, 0, 1]], float)
    matrix = np.diag([4.0, 4.0, 1.0]) @ rotate @ lean @ np.diag([zoom, zoom, 1.0]) @ centre
    fine = cv2.warpPerspective(board, matrix, (5600, 5600), borderValue=(128, 128, 128))
    return cv2.resize(fine, (1400, 1400), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize(("mm_per_px", "angle"), [(0.1, 0), (0.1, 33), (0.2, 180), (0.085, -20), (0.25, 170)])
def test_the_scale_is_right_to_a_twentieth_of_a_percent(mm_per_px: float, angle: float) -> None:
    scale = measure_scale(photo(mm_per_px, angle), COLUMNS, ROWS, SQUARE_MM)
    assert scale.mm_per_px == pytest.approx(mm_per_px, rel=5e-4)
    assert scale.corners >= 20 and scale.error_px < 0.5 and not scale.to_json()["askew"]


@pytest.mark.parametrize("square_mm", [3.0, 10.0, 12.7])
def test_every_edge_of_a_drawn_board_lies_on_its_pixel(square_mm: float) -> None:
    side = square_px(square_mm)
    drawn = draw_board(COLUMNS, ROWS, square_mm)
    assert drawn.shape == (side * (ROWS + 2), side * (COLUMNS + 2), 3)
    assert set(np.unique(drawn)) == {0, 255}
    corner = drawn[side : side * 2, side : side * 2, 0]  # the board's own first square is black, the border white
    assert corner[0].max() == 0 and corner[:, 0].max() == 0 and drawn[side - 1].min() == 255


def test_a_camera_that_stands_askew_is_named() -> None:
    scale = measure_scale(photo(0.1, tilt=1e-4), COLUMNS, ROWS, SQUARE_MM)
    assert scale.range > 0.05 and scale.to_json()["askew"]


def test_half_of_the_board_does() -> None:
    image = photo(0.1)
    image[:, :650] = 128
    assert measure_scale(image, COLUMNS, ROWS, SQUARE_MM).mm_per_px == pytest.approx(0.1, rel=1e-3)


def test_no_board_and_another_board_are_errors() -> None:
    with pytest.raises(InputError, match="0 corners"):
        measure_scale(np.full((400, 400, 3), 128, np.uint8), COLUMNS, ROWS, SQUARE_MM)
    with pytest.raises(InputError, match="3 to 30"):
        board_of(2, 5, 10)
    with pytest.raises(InputError, match="would have"):
        draw_board(30, 16, 100)
