"""Runs of sample parts: seeded, independent of their length, varied, and refused when impossible."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise

import cv2
import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.data.sample import PRODUCTS, Part, defect_types, render

SIZE = 128
EVERY_TYPE = [(product, kind) for product in PRODUCTS for kind in defect_types(product)]


def _same(one: Part, other: Part) -> bool:
    truth = (one.types, one.grade, one.lot, one.index) == (other.types, other.grade, other.lot, other.index)
    return truth and np.array_equal(one.image, other.image) and np.array_equal(one.mask, other.mask)


@pytest.mark.parametrize("product", PRODUCTS)
def test_equal_seeds_give_equal_bits(product: str) -> None:
    first = list(render(product, 6, defect_rate=0.5, seed=3, size=SIZE))
    again = list(render(product, 6, defect_rate=0.5, seed=3, size=SIZE))
    assert all(_same(one, other) for one, other in zip(first, again, strict=True))
    other_seed = next(render(product, 1, seed=4, size=SIZE))
    assert not np.array_equal(first[0].image, other_seed.image)


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_part_does_not_depend_on_the_length_of_the_run(product: str) -> None:
    short = list(render(product, 3, defect_rate=0.5, size=SIZE))
    long = list(render(product, 8, defect_rate=0.5, size=SIZE))
    assert all(_same(one, other) for one, other in zip(short, long[:3], strict=True))


@pytest.mark.parametrize("size", [64, 200, 1024])
@pytest.mark.parametrize("product", PRODUCTS)
def test_every_size_renders_the_same_picture(product: str, size: int) -> None:
    part = next(render(product, 1, size=size))
    reference = next(render(product, 1, size=256))
    assert part.image.shape == (size, size, 3)
    assert part.image.dtype == np.uint8
    assert part.mask.shape == (size, size)
    # Light belongs to the product, not to the size: averaging pixels keeps it (light is the image squared).
    light, expected = ((picture.image / 255.0) ** 2 for picture in (part, reference))
    assert np.allclose(light.mean((0, 1)), expected.mean((0, 1)), rtol=0.08)


@pytest.mark.parametrize("product", PRODUCTS)
def test_good_parts_are_clean_and_never_twice_the_same(product: str) -> None:
    parts = list(render(product, 5, size=SIZE))
    assert all(part.grade == 0 and part.types == () and not part.mask.any() for part in parts)
    assert all(not np.array_equal(one.image, other.image) for one, other in pairwise(parts))


@pytest.mark.parametrize("product", PRODUCTS)
def test_good_parts_are_well_exposed(product: str) -> None:
    for part in render(product, 4, size=256):
        assert 60 < part.image.mean() < 160
        assert (part.image == 255).mean() < 0.01
        assert part.image.std() > 15


@pytest.mark.parametrize(("product", "kind"), EVERY_TYPE)
def test_every_type_shows_exactly_where_its_mask_is(product: str, kind: str) -> None:
    spoiled = list(render(product, 4, types=[kind], defect_rate=1.0, size=256, seed=5))
    for good, bad in zip(render(product, 4, size=256, seed=5), spoiled, strict=True):
        assert bad.types == (kind,)
        assert bad.grade in (1, 2, 3)
        change = np.abs(bad.image.astype(int) - good.image).max(axis=2)
        near = cv2.dilate(bad.mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        assert change[~near].max(initial=0) <= 8
        assert change[bad.mask].max() >= 6
        assert change[bad.mask].mean() > 20 * change[~near].mean()


@pytest.mark.parametrize("product", PRODUCTS)
def test_grades_follow_the_damage(product: str) -> None:
    for kind in defect_types(product):
        spoiled = list(render(product, 40, types=[kind], defect_rate=1.0, size=SIZE, seed=2))
        good = render(product, 40, size=SIZE, seed=2)
        weights: dict[int, list[float]] = {1: [], 2: [], 3: []}
        for bad, clean in zip(spoiled, good, strict=True):
            change = np.abs(bad.image.astype(float) - clean.image).max(axis=2)
            weights[bad.grade].append(float(change[bad.mask].sum()))
        means = [float(np.mean(values)) for values in weights.values() if values]
        assert len(means) >= 2, f"{kind} knows only one grade"
        assert means == sorted(means), f"{kind}: {means}"


def test_defect_rate_is_the_share_of_defective_parts() -> None:
    parts = list(render("cap", 200, defect_rate=0.25, size=64))
    kinds = Counter(part.types for part in parts)
    assert 30 <= 200 - kinds[()] <= 70
    assert {kind for types in kinds for kind in types} == set(defect_types("cap"))
    only = Counter(part.types for part in render("cap", 30, types=["dent"], defect_rate=0.5, size=64))
    assert set(only) == {(), ("dent",)}


@pytest.mark.parametrize("product", PRODUCTS)
def test_drift_darkens_the_later_parts_only(product: str) -> None:
    steady = [part.image.mean() for part in render(product, 9, size=64)]
    drifting = [part.image.mean() for part in render(product, 9, size=64, drift=-0.4)]
    ratios = np.array(drifting) / np.array(steady)
    assert ratios[0] == 1
    assert np.all(np.diff(ratios) < 0)
    # The image is the square root of the light.
    assert ratios[-1] == pytest.approx(np.sqrt(0.6), abs=0.02)


@pytest.mark.parametrize("product", PRODUCTS)
def test_lots_differ_more_than_parts_of_a_lot(product: str) -> None:
    colours: dict[str, list[np.ndarray]] = {}
    for part in render(product, 40, lots=4, size=64, seed=1):
        colours.setdefault(part.lot, []).append(part.image.mean((0, 1)))
    assert list(colours) == ["L01", "L02", "L03", "L04"]
    within = np.mean([np.std(values, axis=0) for values in colours.values()])
    between = np.std([np.mean(values, axis=0) for values in colours.values()], axis=0).mean()
    assert between > 1.2 * within
    assert {part.lot for part in render(product, 4, lots=1, size=64)} == {"L01"}


def test_no_parts_is_an_empty_run() -> None:
    assert list(render("cap", 0, size=64)) == []


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"product": "bolt"}, "cap, board"),
        ({"count": -1}, "0 or more"),
        ({"types": ["rust"]}, "scratch"),
        ({"types": []}, "scratch"),
        ({"defect_rate": 1.5}, "0 to 1"),
        ({"size": 8}, "64"),
        ({"lots": 0}, "1 or more"),
        ({"seed": -1}, "0 or more"),
        ({"drift": -2.0}, "-0.9"),
    ],
)
def test_impossible_runs_are_refused_at_once_with_a_remedy(change: dict[str, object], remedy: str) -> None:
    arguments: dict[str, object] = {"product": "cap", "count": 1, "size": 64, **change}
    with pytest.raises(InputError, match=remedy):
        render(**arguments)  # type: ignore[arg-type]


@pytest.mark.benchmark
@pytest.mark.parametrize("product", PRODUCTS)
def test_fifty_images_a_second_on_one_core(product: str) -> None:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        list(render(product, 2))
        spans = np.full((4, 40), np.inf)
        for row in spans:  # the least processor time of each part: others may be using the machine
            start = time.process_time()
            for number, _ in enumerate(render(product, 40, defect_rate=0.2)):
                row[number], start = time.process_time() - start, time.process_time()
    finally:
        cv2.setNumThreads(threads)
    assert 40 / spans.min(axis=0).sum() >= 50
