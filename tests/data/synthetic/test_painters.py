"""Synthetic defects: visible, marked where they are, on the part, the same for the same seed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.data.synthetic.painters import KINDS, VISIBLE, draw


def _part(seed: int = 0, high: int = 160, wide: int = 200) -> NDArray[np.uint8]:
    """A textured disc on an even ground."""
    rng = np.random.default_rng(seed)
    image = np.full((high, wide, 3), 60, np.uint8)
    noise = cv2.GaussianBlur(rng.normal(160, 60, (high, wide, 3)).astype(np.float32), (0, 0), 1.5)
    disc = np.zeros((high, wide), np.uint8)
    cv2.circle(disc, (wide // 2, high // 2), high // 3, 1, -1)
    image[disc > 0] = np.clip(noise, 0, 255).astype(np.uint8)[disc > 0]
    return image


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_changes_what_it_marks_and_nothing_else(kind: str) -> None:
    image = _part()
    for seed in range(8):
        made = draw(image, np.random.default_rng(seed), kind)
        change = np.abs(made.image.astype(int) - image).max(axis=2)
        assert made.image.dtype == np.uint8 and made.image.shape == image.shape
        assert made.mask.any()
        grown = cv2.dilate(made.mask.astype(np.uint8), np.ones((3, 3))) > 0
        assert change[made.mask].mean() > VISIBLE / 2
        assert np.percentile(change[~grown], 99) <= 2 * VISIBLE, "a defect reaches beyond its mask"


def test_the_original_stays_as_it_was() -> None:
    image = _part()
    before = image.copy()
    draw(image, np.random.default_rng(1))
    assert np.array_equal(image, before)


def test_equal_seeds_draw_equal_defects() -> None:
    image = _part()
    first, again, other = (draw(image, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.image, again.image) and first.kind == again.kind
    assert not np.array_equal(first.image, other.image)


def test_most_defects_lie_on_the_part() -> None:
    image = _part()
    part = np.hypot(*np.mgrid[-80:80, -100:100]) < 160 / 3 + 8
    on = 0
    for seed in range(60):
        mask = draw(image, np.random.default_rng(seed)).mask
        on += (mask & part).sum() > 0.5 * mask.sum()
    assert on >= 48


def test_sizes_vary_from_small_to_large() -> None:
    image = _part()
    areas = [draw(image, np.random.default_rng(seed), "stain").mask.mean() for seed in range(60)]
    assert min(areas) < 0.003 and max(areas) > 0.03


def test_a_grey_part_gets_grey_defects() -> None:
    image = np.repeat(_part()[..., :1], 3, axis=2)
    for seed in range(12):
        made = draw(image, np.random.default_rng(seed))
        assert np.abs(made.image - made.image.mean(axis=2, keepdims=True)).max() <= 2


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("size", [(16, 16), (16, 300), (40, 40)])
def test_plain_and_tiny_pictures_get_a_visible_defect(value: int, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), value, np.uint8)
    for seed in range(6):
        made = draw(image, np.random.default_rng(seed))
        assert made.mask.any()
        assert (made.image != image).any()
