"""Inspections show where and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.band import Verdict
from sightline.core.errors import InputError
from sightline.runtime.image import read_image
from sightline.runtime.inspection import VERDICT_RGB, Inspection
from sightline.runtime.inspector import Inspector

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
    far[:30] = False  # the verdict stands there
    assert far.sum() > 1000
    assert changed[far].mean() < 0.25
    assert np.array_equal(flawed.image, image)  # drawn on a copy


def test_the_verdict_stands_in_its_colour(flawed: Inspection, good: Inspection) -> None:
    assert (flawed.verdict, good.verdict) == (Verdict.NG, Verdict.OK)
    for inspection in (flawed, good):
        assert tuple(inspection.overlay().image[1, 1]) == VERDICT_RGB[inspection.verdict]


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
