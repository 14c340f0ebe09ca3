"""The appearance of a picture: each change moves its own measures, and no picture breaks them."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.card import MEASURES, PLACES
from sightline.runtime.appearance import Appearance, Reference, look, mean_picture, measure

Picture = NDArray[np.uint8]
HIGH, WIDE = 256, 384


@pytest.fixture(scope="module")
def picture() -> Picture:
    """A grey plate with rings, bars and grain, away from black and white."""
    rng = np.random.default_rng(3)
    image = np.full((HIGH, WIDE, 3), (120, 110, 100), np.uint8)
    for number in range(6):
        cv2.circle(image, (60 + 50 * number, 80 + 15 * number), 22 + 3 * number, (60 + 12 * number, 90, 150), 6)
    cv2.rectangle(image, (40, 170), (300, 190), (180, 170, 160), -1)
    return np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def reference(picture: Picture) -> Reference:
    """The picture itself as the one to register to."""
    return Reference.of(mean_picture([look(picture)]))


def moved(picture: Picture, right: float = 0.0, down: float = 0.0, turn: float = 0.0, scale: float = 1.0) -> Picture:
    """Shifted by shares of the longest side, turned clockwise by degrees, enlarged."""
    warp = cv2.getRotationMatrix2D(((WIDE - 1) / 2, (HIGH - 1) / 2), -turn, scale)
    warp[:, 2] += [right * WIDE, down * WIDE]
    return np.asarray(cv2.warpAffine(picture, warp, (WIDE, HIGH), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def times(picture: Picture, *factors: float) -> Picture:
    return np.clip(np.rint(picture * np.array(factors, np.float32)), 0, 255).astype(np.uint8)


def change(before: Picture, after: Picture, reference: Reference) -> dict[str, float]:
    """How much each measure has moved."""
    found = [measure(look(one), reference).measures for one in (before, after)]
    return {name: two - one for name, one, two in zip(MEASURES, *found, strict=True)}


def test_light_moves_brightness_alone(picture: Picture, reference: Reference) -> None:
    seen = change(picture, times(picture, 0.85, 0.85, 0.85), reference)
    assert seen["brightness"] == pytest.approx(math.log(0.85), abs=0.01)
    for name in ("contrast", "sharpness", "red", "blue", "turn", "shift_x", "shift_y", "scale"):
        assert abs(seen[name]) < 0.1, name


def test_colour_moves_the_ratios_of_the_channels(picture: Picture, reference: Reference) -> None:
    seen = change(picture, times(picture, 1.05, 1.0, 0.95), reference)
    assert seen["red"] == pytest.approx(math.log(1.05), abs=0.01)
    assert seen["blue"] == pytest.approx(math.log(0.95), abs=0.01)
    assert abs(seen["brightness"]) < 0.03


def test_defocus_moves_sharpness_and_noise(picture: Picture, reference: Reference) -> None:
    seen = change(picture, np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.5), np.uint8), reference)
    assert seen["sharpness"] < -0.3
    assert seen["noise"] < -0.3
    assert abs(seen["brightness"]) < 0.01
    assert abs(seen["shift_x"]) < 0.1


@pytest.mark.parametrize("right, down, turn, scale", [
    (0.02, 0, 0, 1), (-0.05, 0.02, 0, 1), (0, 0, 2, 1), (0, 0, -5, 1), (0, 0, 0, 1.03), (0.01, -0.02, 3, 0.97),
])  # fmt: skip
def test_a_moved_camera_is_measured(
    picture: Picture, reference: Reference, right: float, down: float, turn: float, scale: float
) -> None:
    seen = change(picture, moved(picture, right, down, turn, scale), reference)
    assert seen["shift_x"] == pytest.approx(100 * right, abs=0.4)
    assert seen["shift_y"] == pytest.approx(100 * down, abs=0.4)
    assert seen["turn"] == pytest.approx(turn, abs=0.3)
    assert seen["scale"] == pytest.approx(100 * (scale - 1), abs=0.5)


def test_dirt_on_the_lens_is_seen_at_its_place_and_light_at_none(picture: Picture, reference: Reference) -> None:
    y, x = np.mgrid[:HIGH, :WIDE]
    veil = 1 - 0.3 * np.exp(-((x - 0.35 * WIDE) ** 2 + (y - 0.75 * HIGH) ** 2) / (2 * 14.0**2))
    clean, dirty, dark = (
        measure(look(one), reference).places.astype(int)
        for one in (picture, (picture * veil[..., None]).astype(np.uint8), times(picture, 0.85, 0.85, 0.85))
    )
    assert np.unravel_index((clean - dirty).argmax(), clean.shape) in {(7, 3), (7, 2)}
    assert (clean - dirty).max() > 10
    assert np.abs(clean - dark).max() <= 1


def test_the_border_around_an_image_does_not_count(picture: Picture, reference: Reference) -> None:
    framed = np.full((HIGH + 100, WIDE, 3), 127, np.uint8)
    framed[50 : 50 + HIGH] = picture
    inner = measure(look(framed, (0, 50, WIDE, HIGH)), reference)
    assert inner.measures == measure(look(picture), reference).measures


@pytest.mark.parametrize("make", [
    lambda: np.zeros((64, 64, 3)), lambda: np.full((40, 90, 3), 255), lambda: np.zeros((1, 1, 3)),
    lambda: np.random.default_rng(0).integers(0, 256, (900, 700, 3)), lambda: np.full((3, 400, 3), 9),
])  # fmt: skip
def test_no_picture_breaks_the_measures(make: Callable[[], Picture], reference: Reference) -> None:
    image = make().astype(np.uint8)
    for against in (reference, None, Reference(np.zeros((20, 30), np.uint8))):
        assert np.all(np.isfinite(measure(look(image), against).measures))


def test_a_record_is_short_and_whole(picture: Picture, reference: Reference) -> None:
    seen = measure(look(picture), reference)
    told = seen.to_json()
    assert told["measures"] == [round(value, 4) for value in seen.measures]
    places = np.frombuffer(base64.b64decode(str(told["places"])), np.uint8).reshape(PLACES, PLACES)
    assert np.array_equal(places, seen.places)
    assert len(str(told)) < 300


def test_the_same_picture_lies_where_it_should(picture: Picture, reference: Reference) -> None:
    found: Appearance = measure(look(picture), reference)
    assert np.abs(found.measures[6:]).max() < 0.05


def test_a_reference_that_is_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be decoded"):
        Reference.of(base64.b64encode(b"\x89PNG\r\n\x1a\nnothing").decode())
