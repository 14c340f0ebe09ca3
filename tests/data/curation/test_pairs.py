"""The same part is found through crop, light and JPEG; other parts in the same fixture are not."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.sample import Sample
from sightline.data.curation.pairs import Pair, clusters, find_pairs, neighbours_of
from sightline.data.curation.reading import read_signs

Picture = NDArray[np.uint8]


def jpeg(image: Picture, quality: int) -> Picture:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1), np.uint8)


COPIES = {
    "equal": lambda image: image,
    "JPEG 40": lambda image: jpeg(image, 40),
    "darker": lambda image: np.clip(image * 0.75 - 5, 0, 255).astype(np.uint8),
    "cropped on the left": lambda image: image[:, 12:],
    "cropped all round": lambda image: image[5:-4, 6:-6],
    "cropped, lighter, JPEG": lambda image: jpeg(np.clip(image[9:, :-8] * 1.2, 0, 255).astype(np.uint8), 60),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_is_found_and_nothing_else(how: str, plant: Any, plate: Any, embed: Any) -> None:
    copy = np.ascontiguousarray(COPIES[how](plate(3)))
    signs = read_signs(plant({"odd.png": copy}), embed)
    pairs = find_pairs(signs, neighbours_of(signs))
    assert [(pair.first, pair.second) for pair in pairs] == [(3, 36)]
    assert pairs[0].exact == (how == "equal")


def test_without_neighbours_copies_are_found_all_the_same(plant: Any, plate: Any) -> None:
    signs = read_signs(plant({"odd.png": COPIES["JPEG 40"](plate(3))}))
    assert neighbours_of(signs) is None
    assert [(pair.first, pair.second) for pair in find_pairs(signs, None)] == [(3, 36)]


def test_pairs_become_clusters() -> None:
    pairs = [Pair(0, 2, 0.9), Pair(2, 5, 0.8), Pair(3, 4, 1.0)]
    assert clusters(pairs, 7) == [[0, 2, 5], [3, 4]]


def test_one_image_has_no_pairs(write: Any, plate: Any, tmp_path: Any, embed: Any) -> None:
    signs = read_signs([Sample(write(tmp_path / "a.png", plate(0)), None)], embed)
    assert find_pairs(signs, neighbours_of(signs)) == []
