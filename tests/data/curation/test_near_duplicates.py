"""The same part is found through crop, light and JPEG; other parts in the same fixture are not."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.sample import Sample
from sightline.data.curation.image_statistics import read_prints, read_statistics
from sightline.data.curation.near_duplicates import Pair, clusters, find_pairs, merge_groups, neighbours_of

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
    statistics = read_statistics(plant({"odd.png": copy}), embed)
    pairs = find_pairs(statistics, neighbours_of(statistics))
    assert [(pair.first, pair.second) for pair in pairs] == [(3, 36)]
    assert pairs[0].exact == (how == "equal")


def test_without_neighbours_copies_are_found_all_the_same(plant: Any, plate: Any) -> None:
    statistics = read_statistics(plant({"odd.png": COPIES["JPEG 40"](plate(3))}))
    assert neighbours_of(statistics) is None
    assert [(pair.first, pair.second) for pair in find_pairs(statistics, None)] == [(3, 36)]


def test_pairs_become_clusters() -> None:
    pairs = [Pair(0, 2, 0.9), Pair(2, 5, 0.8), Pair(3, 4, 1.0)]
    assert clusters(pairs, 7) == [[0, 2, 5], [3, 4]]


def test_one_image_has_no_pairs(write: Any, plate: Any, tmp_path: Any, embed: Any) -> None:
    statistics = read_statistics([Sample(write(tmp_path / "a.png", plate(0)), None)], embed)
    assert find_pairs(statistics, neighbours_of(statistics)) == []


def test_no_images_have_no_pairs() -> None:
    assert find_pairs(read_prints([])[0]) == []


def test_what_cannot_be_read_has_no_prints(plant: Any, tmp_path: Any) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    samples = [Sample(tmp_path / "broken.png", None), *plant({})]
    prints, places = read_prints(samples)
    assert places == list(range(1, len(samples)))
    assert len(prints) == len(prints.thumbs) == len(samples) - 1


def test_prints_are_those_that_a_check_reads(plant: Any) -> None:
    samples = plant({})
    statistics, prints = read_statistics(samples), read_prints(samples)[0]
    assert statistics.digests == prints.digests
    assert np.array_equal(statistics.hashes, prints.hashes) and np.array_equal(statistics.thumbs, prints.thumbs)
    assert np.array_equal(statistics.sizes, prints.sizes)


def test_pairs_join_groups_through_others() -> None:
    keys = ["a", "b", "c", "d", "a", "e"]
    merged = merge_groups(keys, [Pair(1, 2, 1.0), Pair(3, 4, 1.0), Pair(2, 0, 1.0)])
    assert merged[0] == merged[1] == merged[2] == merged[3] == merged[4]
    assert merged[5] == "e" != merged[0]


def test_without_pairs_groups_stay() -> None:
    assert merge_groups(["a", "b", "a"], []) == ["a", "b", "a"]
