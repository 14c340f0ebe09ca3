"""Measures of a photograph move with what they are named after, and with nothing else."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.curation.quality import MEASURES, measure


def of(image: NDArray[np.uint8]) -> dict[str, float]:
    return dict(zip(MEASURES, map(float, measure(image)), strict=True))


def test_focus_motion_and_light_are_told_apart(plate: Any) -> None:
    sharp = of(plate(0))
    soft = of(np.asarray(cv2.GaussianBlur(plate(0), (0, 0), 4), np.uint8))
    moved = of(np.asarray(cv2.blur(plate(0), (1, 15)), np.uint8))
    lighter = of(np.clip(plate(0).astype(int) + 20, 0, 255).astype(np.uint8))
    assert soft["sharpness"] < sharp["sharpness"] - 1
    assert moved["detail_90"] < sharp["detail_90"] - 0.7
    assert abs(moved["detail_0"] - sharp["detail_0"]) < 0.4
    assert abs(lighter["sharpness"] - sharp["sharpness"]) < 0.1
    assert (
        abs(lighter["brightness"] - sharp["brightness"] - 20) <= 1 and abs(lighter["contrast"] - sharp["contrast"]) <= 1
    )


def test_clipping_and_glare_are_shares() -> None:
    image = np.full((100, 100, 3), 120, np.uint8)
    image[:10] = 0
    image[50:70, 50:70] = 255
    found = of(image)
    assert (found["dark"], found["bright"]) == (np.float32(0.1), np.float32(0.04))
    assert 0.03 < found["glare"] <= 0.04


def test_single_white_pixels_are_no_glare() -> None:
    image = np.full((100, 100, 3), 120, np.uint8)
    image[::4, ::4] = 255
    assert of(image)["glare"] == 0


def test_a_flat_and_a_large_image_can_be_measured() -> None:
    assert np.isfinite(measure(np.full((16, 16, 3), 255, np.uint8))).all()
    assert np.isfinite(measure(np.zeros((3000, 2000, 3), np.uint8))).all()
