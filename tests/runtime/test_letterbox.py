"""Placement: what goes into a recipe's input, and where its heat lies on the image."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from sightline.runtime.letterbox import BORDER, fit_letterbox, heat_to_image, prepare

INPUT = (96, 128)
CELL_PX = 8


def test_an_image_of_the_inputs_shape_fills_it() -> None:
    letterbox = fit_letterbox((480, 640), INPUT)
    assert letterbox.crop == (0, 0, 640, 480)
    assert letterbox.inner == (0, 0, 128, 96)
    assert letterbox.padded == 0


@pytest.mark.parametrize(("width", "stretched"), [(580, True), (640, True), (705, True), (560, False), (730, False)])
def test_only_a_nearly_fitting_shape_is_stretched(width: int, stretched: bool) -> None:
    letterbox = fit_letterbox((480, width), INPUT)
    assert (letterbox.padded == 0) is stretched
    if not stretched:
        _, _, inner_w, inner_h = letterbox.inner
        assert inner_w / inner_h == pytest.approx(width / 480, rel=0.02)


def test_a_larger_image_is_shrunk_to_fit_and_centred() -> None:
    letterbox = fit_letterbox((1000, 200), INPUT, scale=1.0)
    assert letterbox.inner == (54, 0, 19, 96)
    assert letterbox.padded == pytest.approx(1 - 19 * 96 / (96 * 128))


def test_a_smaller_image_keeps_the_recipes_scale() -> None:
    letterbox = fit_letterbox((40, 60), INPUT, scale=1.0)
    assert letterbox.inner == (34, 28, 60, 40)
    assert fit_letterbox((40, 60), INPUT, scale=0.5).inner[2:] == (30, 20)
    assert fit_letterbox((40, 60), INPUT).inner[2:] == (128, 85)  # without a scale it grows to fit


def test_the_region_of_interest_is_cut_out() -> None:
    letterbox = fit_letterbox((200, 400), INPUT, roi=(0.25, 0.1, 0.5, 0.75))
    assert letterbox.crop == (100, 20, 200, 150)
    assert letterbox.inner == (0, 0, 128, 96)


@pytest.mark.parametrize("roi", [(0.0, 0.0, 1.0, 1.0), (0.999, 0.999, 0.001, 0.001), (0.0, 0.5, 1.0, 0.001)])
@pytest.mark.parametrize("size", [(16, 16), (17, 3000), (20_000, 16), (96, 128)])
def test_every_placement_lies_inside_image_and_input(
    size: tuple[int, int], roi: tuple[float, float, float, float]
) -> None:
    letterbox = fit_letterbox(size, INPUT, roi, scale=0.7)
    x, y, w, h = letterbox.crop
    left, top, inner_w, inner_h = letterbox.inner
    assert min(w, h, inner_w, inner_h) >= 1
    assert x >= 0 and x + w <= size[1] and y >= 0 and y + h <= size[0]
    assert left >= 0 and left + inner_w <= INPUT[1] and top >= 0 and top + inner_h <= INPUT[0]
    prepared = prepare(np.full((*size, 3), 200, np.uint8), letterbox)
    assert (prepared.shape, prepared.dtype) == ((*INPUT, 3), np.uint8)


def test_the_border_is_neutral_grey_and_the_image_is_whole() -> None:
    image = np.zeros((40, 50, 3), np.uint8)
    image[..., 0] = np.arange(50) * 5
    letterbox = fit_letterbox(image.shape[:2], INPUT, scale=1.0)
    prepared = prepare(image, letterbox)
    left, top, inner_w, inner_h = letterbox.inner
    assert np.array_equal(prepared[top : top + inner_h, left : left + inner_w], image)
    prepared[top : top + inner_h, left : left + inner_w] = BORDER
    assert (prepared == BORDER).all()


def test_shrinking_averages_and_loses_no_fine_line() -> None:
    image = np.zeros((960, 1280, 3), np.uint8)
    image[:, 405] = 250
    shrunk = prepare(image, fit_letterbox((960, 1280), INPUT))
    assert np.array_equal(np.unique(shrunk[:, 40]), [25])
    assert not shrunk[:, 41].any()


def test_an_image_at_the_inputs_size_goes_in_untouched() -> None:
    image = np.random.default_rng(0).integers(0, 256, (*INPUT, 3)).astype(np.uint8)
    assert np.array_equal(prepare(image, fit_letterbox(INPUT, INPUT)), image)


def test_heat_over_a_fitting_image_is_only_resampled() -> None:
    grid = np.random.default_rng(0).random((12, 16), np.float32)
    heat = heat_to_image(grid, fit_letterbox(INPUT, INPUT))
    assert heat.dtype == np.float32
    assert heat == pytest.approx(cv2.resize(grid, (32, 24), interpolation=cv2.INTER_LINEAR), abs=0.01)


def test_flat_heat_stays_flat() -> None:
    for size in [(96, 128), (40, 50), (300, 1000), (16, 16)]:
        heat = heat_to_image(np.full((12, 16), 2.5, np.float32), fit_letterbox(size, INPUT, scale=1.0))
        assert heat == pytest.approx(2.5)


def test_there_is_no_heat_outside_the_region_of_interest() -> None:
    letterbox = fit_letterbox((200, 400), INPUT, roi=(0.25, 0.1, 0.5, 0.75))
    heat = heat_to_image(np.ones((12, 16), np.float32), letterbox)
    y, x = np.nonzero(heat)
    cell_y, cell_x = 200 / heat.shape[0], 400 / heat.shape[1]
    assert x.min() * cell_x == pytest.approx(100, abs=cell_x)
    assert (x.max() + 1) * cell_x == pytest.approx(300, abs=cell_x)
    assert y.min() * cell_y == pytest.approx(20, abs=cell_y)
    assert (y.max() + 1) * cell_y == pytest.approx(170, abs=cell_y)
    assert np.count_nonzero(heat) == pytest.approx(heat.size * 0.375, rel=0.1)


SIZES = [(96, 128), (960, 1280), (100, 200), (300, 100), (64, 80), (500, 490), (150, 2000), (33, 47)]
ROIS = [(0.0, 0.0, 1.0, 1.0), (0.1, 0.2, 0.6, 0.5), (0.5, 0.0, 0.5, 1.0)]


@pytest.mark.parametrize("scale", [math.inf, 1.0, 0.4])
@pytest.mark.parametrize("roi", ROIS)
@pytest.mark.parametrize("size", SIZES)
def test_a_hot_spot_comes_back_where_it_was(
    size: tuple[int, int], roi: tuple[float, float, float, float], scale: float
) -> None:
    """Draw a spot, let the grid cells average what they see, and look for the hottest place on the image."""
    letterbox = fit_letterbox(size, INPUT, roi, scale)
    x, y, w, h = letterbox.crop
    px_per_input = w / letterbox.inner[2], h / letterbox.inner[3]
    rng = np.random.default_rng(size[0])
    for _ in range(6):
        spot_x, spot_y = x + rng.uniform(0.15, 0.85) * w, y + rng.uniform(0.15, 0.85) * h
        rows, columns = np.ogrid[: size[0], : size[1]]
        reach = 4 * px_per_input[0], 4 * px_per_input[1]  # half a cell around the spot
        near = (abs(columns + 0.5 - spot_x) <= reach[0]) & (abs(rows + 0.5 - spot_y) <= reach[1])
        image = np.where(near[..., None], np.uint8(255), np.uint8(127)).repeat(3, 2)
        observed = prepare(image, letterbox)[..., 0].astype(np.float32) - 127
        grid = observed.reshape(INPUT[0] // CELL_PX, CELL_PX, INPUT[1] // CELL_PX, CELL_PX).mean((1, 3))
        heat = heat_to_image(grid, letterbox)
        row, column = np.unravel_index(int(heat.argmax()), heat.shape)
        found_x, found_y = (column + 0.5) * size[1] / heat.shape[1], (row + 0.5) * size[0] / heat.shape[0]
        assert abs(found_x - spot_x) <= CELL_PX * px_per_input[0] + 1, (spot_x, found_x)
        assert abs(found_y - spot_y) <= CELL_PX * px_per_input[1] + 1, (spot_y, found_y)
