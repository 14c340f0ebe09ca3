"""Near-duplicates: the same picture in another light or file is found, another part is not."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.data.duplicates import fingerprint, merge_groups, near_duplicates

Picture = NDArray[np.uint8]


def _alike(*images: Picture) -> list[tuple[int, int]]:
    return near_duplicates([fingerprint(image) for image in images])


def _jpeg(image: Picture, quality: int) -> Picture:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1), np.uint8)


def _lighter(image: Picture, by: float | NDArray[np.float64]) -> Picture:
    return np.clip(image + by, 0, 255).astype(np.uint8)


COPIES = {
    "the same": lambda image: image,
    "JPEG 90": lambda image: _jpeg(image, 90),
    "JPEG 50": lambda image: _jpeg(image, 50),
    "lighter": lambda image: _lighter(image, 20.0),
    "darker": lambda image: _lighter(image, -20.0),
    "noise": lambda image: _lighter(image, np.random.default_rng(0).normal(0, 3, image.shape)),
    "half the size": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "3 % brighter": lambda image: np.clip(image * 1.03, 0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("seed", range(3))
def test_a_copy_is_found(how: str, seed: int, draw: Any) -> None:
    image = draw(seed, height=240, width=320)[0]
    assert _alike(image, COPIES[how](image)) == [(0, 1)]


def test_different_parts_in_the_same_fixture_are_told_apart(draw: Any) -> None:
    assert _alike(*(draw(seed, flawed=seed % 3 == 0)[0] for seed in range(30))) == []


def test_every_pair_is_named_once(draw: Any) -> None:
    one, other = draw(1)[0], draw(2)[0]
    assert _alike(one, other, one, other, one) == [(0, 2), (0, 4), (1, 3), (2, 4)]


def test_no_pairs_among_fewer_than_two(draw: Any) -> None:
    assert near_duplicates([]) == []
    assert _alike(draw(0)[0]) == []


def test_flat_pictures_have_a_fingerprint() -> None:
    bits, thumb = fingerprint(np.full((40, 60, 3), 90, np.uint8))
    assert bits.shape == (64,) and bits.dtype == np.uint8
    assert thumb.shape == (48 * 48,) and not thumb.any()


def test_pairs_join_groups_through_others() -> None:
    keys = ["a", "b", "c", "d", "a", "e"]
    merged = merge_groups(keys, [(1, 2), (3, 4), (2, 0)])
    assert merged[0] == merged[1] == merged[2] == merged[3] == merged[4]
    assert merged[5] == "e" != merged[0]


def test_without_pairs_groups_stay() -> None:
    assert merge_groups(["a", "b", "a"], []) == ["a", "b", "a"]
