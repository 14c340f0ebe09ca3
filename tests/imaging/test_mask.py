"""One true disc in mask files of many kinds: its area, or a refusal that says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from sightline.core.errors import InputError
from sightline.core.region import Polygons, Rectangle, Region, Runs
from sightline.core.sample import Sample
from sightline.imaging.mask import marked_pixels, marks_of, read_mask

SIZE = (256, 320)
DISC = np.zeros(SIZE, np.uint8)
cv2.circle(DISC, (160, 128), 30, 1, -1)
GREEN, RED = (35, 164, 54), (255, 0, 0)


def _painted(ground: Any, mark: Any) -> np.ndarray:
    image = np.empty((*SIZE, len(ground)), np.uint8)
    image[:] = ground
    image[DISC > 0] = mark
    return image


def _palette(*colours: tuple[int, int, int]) -> Pillow.Image:
    image = Pillow.fromarray(DISC).convert("P")
    image.putpalette([*sum(colours, ()), *[0] * (768 - 3 * len(colours))])
    return image


def _soft() -> np.ndarray:
    half = cv2.resize(DISC * 255, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return cv2.resize(half, SIZE[::-1], interpolation=cv2.INTER_CUBIC)


def _photo() -> np.ndarray:
    return np.random.default_rng(0).normal(120, 30, (*SIZE, 3)).clip(0, 255).astype(np.uint8)


def _regions() -> np.ndarray:
    """200 numbered regions on black."""
    numbered = np.zeros((100, 200), np.uint8)
    for number in range(1, 201):
        y, x = divmod(number - 1, 20)
        numbered[10 * y : 10 * y + 6, 10 * x : 10 * x + 6] = number
    return numbered


def _saved(path: Path, image: Any, **options: Any) -> Path:
    (image if isinstance(image, Pillow.Image) else Pillow.fromarray(image)).save(path, **options)
    return path


READ: dict[str, Callable[[], Any]] = {
    "zero and 255": lambda: DISC * 255,
    "zero and 1": lambda: DISC,
    "soft edges": _soft,
    "palette": lambda: _palette((0, 0, 0), (128, 0, 0)),
    "palette on white": lambda: _palette((255, 255, 255), GREEN),
    "colour on white": lambda: _painted((255, 255, 255), GREEN),
    "colour on black": lambda: _painted((0, 0, 0), RED),
    "alpha": lambda: np.dstack([np.full((*SIZE, 3), 255, np.uint8), DISC * 255]),
    "alpha of a colour": lambda: _painted((0, 0, 0, 0), (255, 0, 0, 128)),
    "alpha that marks nothing": lambda: np.dstack([_painted((0, 0, 0), (255, 255, 255)), np.full(SIZE, 255, np.uint8)]),
}
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "inverted": (lambda: (1 - DISC) * 255, "black on white"),
    "ignored": (lambda: np.where(np.arange(256)[:, None] < 20, 128, DISC * 255).astype(np.uint8), "128 may mean"),
    "drawn on a picture": (lambda: _painted((90, 90, 90), RED), "drawn on a picture"),
    "a photo": (_photo, "drawn on a picture|a photo"),
    "a grey photo": (lambda: _photo()[..., 0], "a photo"),
    "numbers from 1": (lambda: DISC + 1, "its background is not 0 but 1"),
    "cut out": (lambda: np.dstack([_photo(), DISC * 255]), "a picture with a transparent background"),
}


@pytest.mark.parametrize("kind", READ)
def test_a_mask_of_this_kind_has_its_true_area(kind: str, tmp_path: Path) -> None:
    mask = read_mask(_saved(tmp_path / "mask.png", READ[kind]()))
    assert mask.sum() == pytest.approx(DISC.sum(), rel=0.01)


@pytest.mark.parametrize("quality", [95, 85, 75, 50])
@pytest.mark.parametrize("colour", [(255, 255, 255), RED])
def test_what_jpeg_adds_is_no_mark(quality: int, colour: tuple[int, int, int], tmp_path: Path) -> None:
    path = _saved(tmp_path / "mask.jpg", _painted((0, 0, 0), colour), quality=quality)
    assert read_mask(path).sum() == pytest.approx(DISC.sum(), rel=0.05)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_mask_that_may_mean_two_things_is_refused(kind: str, tmp_path: Path) -> None:
    image, message = REFUSED[kind]
    with pytest.raises(InputError, match=rf"mask\.png: .*({message})"):
        read_mask(_saved(tmp_path / "mask.png", image()))


def test_numbered_regions_are_all_marked(tmp_path: Path, write: Any) -> None:
    regions = _regions()
    assert np.array_equal(read_mask(_saved(tmp_path / "8.png", regions)), regions > 0)
    assert np.array_equal(read_mask(write(tmp_path / "16.png", regions.astype(np.uint16) * 300)), regions > 0)


def test_a_large_defect_that_reaches_the_border_is_read(tmp_path: Path) -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[:, 100:] = 255
    assert np.array_equal(read_mask(_saved(tmp_path / "mask.png", mask)), mask > 0)
    assert read_mask(_saved(tmp_path / "all.png", np.full(SIZE, 255, np.uint8))).all()
    assert not read_mask(_saved(tmp_path / "none.png", np.zeros(SIZE, np.uint8))).any()


def test_a_halved_mask_is_brought_to_its_picture_and_another_shape_is_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path / "mask.png", DISC[::2, ::2] * 255)
    mask = read_mask(path, SIZE)
    assert mask.shape == SIZE
    assert mask.sum() == pytest.approx(DISC.sum(), rel=0.05)
    with pytest.raises(InputError, match=r"a mask of 160 x 128 px for a picture of 256 x 320 px.* another shape"):
        read_mask(path, SIZE[::-1])


def test_polygons_and_run_lengths_are_masks_and_boxes_are_none(tmp_path: Path) -> None:
    square = Region("dent", Polygons((((10.0, 10.0), (30.0, 10.0), (30.0, 30.0), (10.0, 30.0)),)))
    runs = Region("dent", Runs.of(DISC > 0))
    marks = marks_of(Sample(tmp_path / "1.png", True, regions=(square, runs))) or pytest.fail("no marks")
    assert marked_pixels(marks, SIZE).sum() == pytest.approx(DISC.sum() + 400, rel=0.03)
    box = Region("dent", Rectangle(10, 10, 20, 20))
    assert marks_of(Sample(tmp_path / "1.png", True, regions=(runs, box))) is None
    assert marks_of(Sample(tmp_path / "1.png", False)) is None
