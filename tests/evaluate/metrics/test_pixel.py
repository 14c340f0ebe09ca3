"""AUPRO against a brute-force version that visits every value as a threshold."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.evaluate.metrics import pixel
from sightline.evaluate.metrics.pixel import (
    BINS,
    Pair,
    Pairs,
    Thresholds,
    aupro_of_cells,
    overlap,
    pixel_curve,
    region_weights,
)


def aupro(pairs: Pairs, limit: float = 0.3, bins: int = BINS) -> float | None:
    return pixel.aupro(pixel_curve(pairs, bins), limit)


def brute_force(pairs: list[Pair], limit: float) -> float:
    """AUPRO by definition: one point per distinct heat value, regions one by one."""
    normal = np.concatenate([heat[~mask] for heat, mask in pairs])
    regions = []
    for heat, mask in pairs:
        count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        regions += [heat[labels == label] for label in range(1, count)]
    points = [(0.0, 0.0)]
    for threshold in np.unique(np.concatenate([heat.ravel() for heat, _ in pairs]))[::-1]:
        pro = float(np.mean([(region >= threshold).mean() for region in regions]))
        points.append((float((normal >= threshold).mean()), pro))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 >= limit:
            break
        end = min(x1, limit)
        y_end = y0 if x1 == x0 else y0 + (y1 - y0) * (end - x0) / (x1 - x0)
        area += (end - x0) * (y0 + y_end) / 2
    return area / limit


def scene(seed: int, decimals: int, images: int = 5) -> list[Pair]:
    """Heat maps that are higher, but not everywhere, on some rectangles; every second image is good."""
    random = np.random.default_rng(seed)
    pairs: list[Pair] = []
    for index in range(images):
        mask = np.zeros((36, 44), bool)
        for _ in range(3 * (index % 2)):
            y, x = random.integers(0, 30), random.integers(0, 38)
            mask[y : y + random.integers(1, 7), x : x + random.integers(1, 7)] = True
        heat = random.gamma(2.0, 1.0, mask.shape) + mask * random.uniform(0, 4)
        pairs.append((np.round(heat, decimals).astype(np.float32), mask))
    return pairs


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_few_values_are_exact(seed: int, limit: float) -> None:
    pairs = scene(seed, decimals=1)
    assert aupro(lambda: pairs, limit) == pytest.approx(brute_force(pairs, limit), abs=1e-9)


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_many_values_are_within_a_thousandth(seed: int, limit: float) -> None:
    pairs = scene(seed, decimals=7)
    assert aupro(lambda: pairs, limit, bins=1024) == pytest.approx(brute_force(pairs, limit), abs=1e-3)


def test_a_saturated_heat_map_counts_its_heap_of_ties_as_one_step() -> None:
    pairs = [(np.minimum(heat, 3.0), mask) for heat, mask in scene(1, decimals=7)]
    assert aupro(lambda: pairs, 0.3, bins=1024) == pytest.approx(brute_force(pairs, 0.3), abs=1e-3)


def test_values_known_by_hand() -> None:
    # Two regions, one found at once and one never: overlap 1/2 at every false-positive rate below 1.
    heat = np.zeros((4, 8), np.float32)
    mask = np.zeros((4, 8), bool)
    mask[0, 0] = mask[2:, 4:] = True
    heat[0, 0], heat[2:, 4:] = 9.0, -1.0
    heat[~mask] = np.linspace(0, 1, int((~mask).sum()), dtype=np.float32)
    assert aupro(lambda: [(heat, mask)], 0.3) == pytest.approx(0.5)
    # All the same: the curve is the diagonal, whose mean up to the limit is limit / 2.
    assert aupro(lambda: [(np.ones_like(heat), mask)], 0.3) == pytest.approx(0.15)
    assert aupro(lambda: [(mask.astype(np.float32), mask)], 0.3) == pytest.approx(1.0)


def test_diagonal_neighbours_are_one_region() -> None:
    mask = np.eye(5, dtype=bool)
    assert pixel_curve(lambda: [(mask.astype(np.float32), mask)]).regions == 1


def test_without_regions_or_normal_pixels_there_is_no_figure() -> None:
    heat = np.zeros((4, 4), np.float32)
    for pairs in ([], [(heat, np.zeros((4, 4), bool))], [(heat, np.ones((4, 4), bool))]):
        assert aupro(lambda pairs=pairs: pairs) is None  # type: ignore[misc]


def test_a_heat_that_is_not_a_number_counts_as_the_hottest() -> None:
    mask = np.zeros((4, 4), bool)
    mask[0, 0] = True
    heat = np.zeros((4, 4), np.float32)
    heat[0, 0] = np.nan
    assert aupro(lambda: [(heat, mask)]) == pytest.approx(1.0)


@pytest.mark.parametrize("limit", [0.0, -0.1, 1.5])
def test_limits_outside_the_unit_interval_are_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="limit"):
        aupro(lambda: scene(0, 1), limit)


def test_thresholds_stay_bounded_and_are_dense_in_the_tail() -> None:
    random = np.random.default_rng(0)
    sketch = Thresholds(bins=512)
    heats: list[NDArray[np.floating]] = [random.normal(size=(100, 100)).astype(np.float32) for _ in range(30)]
    for heat in heats:
        sketch.add(heat)
    edges = sketch.edges()
    assert edges.size <= 2 * (512 + 2)
    rates = np.mean([(np.concatenate(heats).ravel()[:, None] >= edges[None, ::4]).mean(0)], axis=0)
    tail = rates[rates <= 0.05]
    assert np.abs(np.diff(tail)).max() < 0.002
    assert tail.size > rates.size / 2


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_cells_by_rank_give_the_same_area(limit: float) -> None:
    rng = np.random.default_rng(11)
    heat = rng.normal(size=(12, 20, 30))
    masks = np.zeros((12, 20, 30), bool)
    for index in range(8):  # the last four images are good
        masks[index, 2 : 5 + index, 3:9] = True
        masks[index, 15:18, 20 : 22 + index] = True
    heat[masks] += 1.0
    expected = aupro(lambda: zip(heat, masks, strict=True), limit, bins=10_000)
    found = aupro_of_cells(heat[~masks], heat[masks], region_weights(masks), limit)
    assert found == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("limit", [0.1, 0.3, 1.0])
def test_cells_of_equal_heat_get_no_free_credit(limit: float) -> None:
    rng = np.random.default_rng(5)
    masks = np.zeros((3, 8, 8), bool)
    masks[0, 2:4, 2:5] = masks[1, 5:, 1:3] = True
    for heat in (
        np.ones(masks.shape),
        np.round(rng.normal(size=masks.shape)),
        (np.arange(192) < 96.0).reshape(3, 8, 8),
    ):
        heat = np.asarray(heat, np.float64)
        expected = aupro(lambda values=heat: zip(values, masks, strict=True), limit, bins=10_000)
        found = aupro_of_cells(heat[~masks], heat[masks], region_weights(masks), limit)
        assert found == pytest.approx(expected, abs=1e-6)


def test_every_region_weighs_the_same() -> None:
    masks = np.zeros((2, 6, 6), bool)
    masks[0, :2, :2], masks[0, 4:, 4], masks[1, 0, 0] = True, True, True
    weights = region_weights(masks)
    assert weights == pytest.approx([1 / 12] * 4 + [1 / 6] * 2 + [1 / 3])


def marks(*marked):
    """(4, 5) bool with the given (row, columns) marked."""
    grid = np.zeros((4, 5), bool)
    for row, columns in marked:
        grid[row, columns] = True
    return grid


def test_by_hand() -> None:
    row = slice(0, 4)
    found = overlap(
        [
            (marks((0, row)), marks((0, slice(1, 5)))),  # 3 shared, 4 and 4
            (marks((1, row), (2, slice(0, 2))), marks((1, row))),  # 4 shared, 6 and 4
            (marks(), marks()),  # good, and nothing marked
            (marks(), marks((3, slice(0, 2)))),  # good, and marked
        ]
    )
    assert found.dice == pytest.approx((3 / 4 + 8 / 10) / 2)
    assert found.iou == pytest.approx((3 / 5 + 4 / 6) / 2)
    assert (found.defective, found.marked_good.count, found.marked_good.of) == (2, 1, 2)


def test_equals_counting_pixel_by_pixel() -> None:
    random = np.random.default_rng(0)
    pairs = [(random.random((6, 7)) < 0.3, random.random((6, 7)) < 0.4) for _ in range(5)]
    found = overlap(iter(pairs))
    dice, iou = [], []
    for truth, predicted in pairs:
        a = {pixel for pixel in np.ndindex(6, 7) if truth[pixel]}
        b = {pixel for pixel in np.ndindex(6, 7) if predicted[pixel]}
        dice.append(2 * len(a & b) / (len(a) + len(b)))
        iou.append(len(a & b) / len(a | b))
    assert (found.dice, found.iou) == (pytest.approx(np.mean(dice)), pytest.approx(np.mean(iou)))


def test_no_images_and_no_defects_give_none() -> None:
    for found in (overlap([]), overlap([(marks(), marks())])):
        assert (found.dice, found.iou, found.defective) == (None, None, 0)


def test_maps_that_do_not_fit_are_refused_with_a_remedy() -> None:
    with pytest.raises(ValueError, match="Bring both to one size"):
        overlap([(marks(), np.zeros((4, 9), bool))])
    with pytest.raises(ValueError, match="threshold"):
        overlap([(marks(), np.zeros((4, 5), np.float32))])
