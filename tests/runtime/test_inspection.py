"""Inspections show where and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.result import Verdict
from sightline.imaging.image import read_image
from sightline.runtime.drawing import Scale, smooth_outline, with_heat
from sightline.runtime.inspection import MAX_REGIONS, VERDICT_RGB, Inspection, find_defects
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe

CELL_PX = 8


def _near(mask: NDArray[np.bool_], reach_px: int) -> NDArray[np.bool_]:
    side = 2 * reach_px + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)


@pytest.fixture(scope="module")
def flawed(judge: Inspector, draw: Any) -> Inspection:
    return judge.inspect(draw(500, flawed=True)[0])


@pytest.fixture(scope="module")
def good(judge: Inspector, draw: Any) -> Inspection:
    return judge.inspect(draw(501)[0])


@pytest.mark.parametrize("size", [(96, 128), (240, 320), (50, 60), (97, 131)])
def test_the_heat_map_has_the_images_size(size: tuple[int, int], judge: Inspector, draw: Any) -> None:
    height, width = size
    inspection = judge.inspect(draw(502, height=height, width=width)[0])
    assert inspection.heatmap.shape == size
    assert inspection.heatmap.dtype == np.float32
    assert inspection.heatmap is inspection.heatmap  # made once


def test_the_heat_lies_on_the_flaw(flawed: Inspection, draw: Any) -> None:
    mask = draw(500, flawed=True)[1] > 0
    assert flawed.heatmap[mask].mean() > 3 * abs(flawed.heatmap[~mask].mean())
    assert _near(mask, CELL_PX)[np.unravel_index(int(flawed.heatmap.argmax()), mask.shape)]


def test_the_overlay_colours_the_flaw_and_leaves_the_rest(flawed: Inspection, draw: Any) -> None:
    image, mask = draw(500, flawed=True)
    shown = flawed.overlay().image
    assert (shown.shape, shown.dtype) == (image.shape, np.uint8)
    changed = np.abs(shown.astype(int) - image).max(2) > 20
    assert changed[mask > 0].mean() > 0.9
    far = ~_near(mask > 0, 4 * CELL_PX)
    far[:30] = far[-30:] = False  # the verdict stands in one of them
    assert far.sum() > 1000
    assert changed[far].mean() < 0.25
    assert np.array_equal(flawed.image, image)  # drawn on a copy


def test_the_verdict_stands_in_its_colour(flawed: Inspection, good: Inspection) -> None:
    assert (flawed.verdict, good.verdict) == (Verdict.NG, Verdict.OK)
    for inspection in (flawed, good):
        shown = replace(inspection, defects=()).overlay().image  # it gives way to defects
        assert tuple(shown[1, 1]) == VERDICT_RGB[inspection.verdict]


def test_what_decided_stands_below_the_verdict(good: Inspection) -> None:
    predicted = replace(good, reason="the known type 'crack' (97%) decided: the score alone says OK").overlay().image
    changed = np.abs(predicted.astype(int) - good.overlay().image).max(2) > 20
    assert changed[30:50].mean() > 0.1


def test_heat_is_seen_on_a_black_part(flawed: Inspection) -> None:
    black = np.zeros_like(flawed.image)
    hot = flawed.heatmap > flawed.heat_threshold
    hot[:30] = False
    shown = replace(flawed, image=black, defects=()).overlay().image
    assert hot.any() and shown[hot].max(1).min() > 100
    warm = (flawed.heatmap > 0.75 * flawed.heat_threshold) & ~hot
    warm[:30] = False
    assert shown[warm].max(1).mean() > 40


def test_the_caption_gives_way_to_a_defect_in_its_corner(flawed: Inspection) -> None:
    height = flawed.image.shape[0]
    for y, row in ((2, height - 2), (height - 12, 1)):
        contour = np.array([[2, y], [10, y], [10, y + 8], [2, y + 8]], np.int32)
        corner = replace(flawed.defects[0], box=(2, y, 8, 8), contour=contour)
        shown = replace(flawed, defects=(corner,)).overlay().image
        assert tuple(shown[row, 1]) == VERDICT_RGB[flawed.verdict]
        assert tuple(shown[height - 1 - row, 1]) != VERDICT_RGB[flawed.verdict]


def test_overlays_and_reports_have_one_palette(flawed: Inspection) -> None:
    limit = flawed.heat_threshold
    expected = with_heat(flawed.image, flawed.heatmap, Scale(0.5 * limit, limit, 2 * limit))
    assert np.array_equal(replace(flawed, defects=()).overlay().image[40:], expected[40:])


def test_outlines_have_no_staircase_and_keep_their_area() -> None:
    rows, columns = np.mgrid[:30, :30]
    cells = (np.abs(rows - 15) + np.abs(columns - 15) < 12).astype(np.uint8)
    large = cv2.resize(cells, (240, 240), interpolation=cv2.INTER_NEAREST)
    contour = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_KCOS)[0][0].reshape(-1, 2)
    smooth = smooth_outline(contour, 8.0)
    assert cv2.contourArea(smooth) == pytest.approx(cv2.contourArea(contour), rel=0.05)
    assert cv2.arcLength(smooth, True) < 0.85 * cv2.arcLength(contour, True)


def test_a_good_part_stays_uncoloured(good: Inspection) -> None:
    shown = good.overlay().image
    changed = np.abs(shown.astype(int) - good.image).max(2) > 20
    assert changed[30:].mean() < 0.05


def test_the_scale_of_the_colours_can_be_given(good: Inspection) -> None:
    hot = good.overlay(low=float(good.heat.min()), high=float(good.heat.max())).image
    assert np.abs(hot.astype(int) - good.image)[30:].mean() > 10


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".jpg"])
def test_an_overlay_is_saved_as_its_suffix_says(suffix: str, flawed: Inspection, tmp_path: Path) -> None:
    overlay = flawed.overlay()
    path = overlay.save(tmp_path / f"why{suffix}")
    assert path == tmp_path / f"why{suffix}"
    saved, _ = read_image(path)
    assert np.abs(saved.astype(int) - overlay.image).mean() < (6 if suffix == ".jpg" else 1e-9)
    magic = {".png": b"\x89PNG", ".bmp": b"BM", ".jpg": b"\xff\xd8"}[suffix.lower()]
    assert path.read_bytes().startswith(magic)


@pytest.mark.parametrize("name", ["why.txt", "why", "why.", ".png", "why.xyz", "why.onnx", "why.exr", "why.pgm"])
def test_an_unknown_suffix_is_refused_with_a_remedy(name: str, flawed: Inspection, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write this format. Use a name that ends in .png or .jpg"):
        flawed.overlay().save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_an_overlay_without_a_place_is_refused(flawed: Inspection, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written .* Check the folder") as error:
        flawed.overlay().save(tmp_path / "gone" / "why.png")
    assert str(tmp_path / "gone") in str(error.value)


def test_a_failed_measurement_still_has_a_picture(flawed: Inspection) -> None:
    broken = replace(flawed, score=float("nan"), heat=np.full_like(flawed.heat, np.nan), defects=())
    assert broken.overlay().image.shape == flawed.image.shape


def test_a_notebook_shows_inspections_overlays_and_recipes(flawed: Inspection, recipe: Recipe) -> None:
    for shown in (flawed, flawed.overlay()):
        pixels = read_image(shown._repr_png_())[0]
        assert np.array_equal(pixels, flawed.overlay().image)
    html = recipe._repr_html_()
    assert recipe.hash[:16] in html and f"{recipe.card.band.low:.4g}" in html
    named = replace(recipe, card=recipe.card.model_copy(update={"product": "<b>"}))
    assert "&lt;b&gt;" in named._repr_html_() and "<b>" not in named._repr_html_()


# Regions: hot places become outlines in image pixels.

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
    assert defect.type == "unknown"
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
