"""A region's shapes agree with one another."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.region import (
    Polygons,
    Rectangle,
    Region,
    Runs,
    cut,
    fill,
    has_area,
    joined,
    overlap,
    signed_area,
    trace,
)

RING = np.array([(1.0, 1.0), (5.0, 1.0), (5.0, 4.0), (1.0, 4.0)])


def test_three_shapes_of_one_place_are_one_place() -> None:
    box = Region("dent", Rectangle(1, 1, 4, 3))
    ring = Region("dent", Polygons((RING,)))
    runs = Region("dent", Runs.of(box.mask(6, 8)))
    for region in (box, ring, runs):
        assert region.box == (1, 1, 4, 3)
        assert np.array_equal(region.mask(6, 8), box.mask(6, 8))
        assert len(region.outline) == 4
        assert region.cut(6, 8) == region


def test_regions_can_be_compared_and_counted() -> None:
    assert Polygons((RING,)) == Polygons((RING.copy(),))
    assert Polygons((RING,)) != Polygons((RING + 1,))
    assert Polygons((RING,)) != "ring"
    assert len({Region("a", Polygons((RING,))), Region("a", Polygons((RING.copy(),)))}) == 1


@pytest.mark.parametrize("shape", [Rectangle(-2, -3, 6, 5), Polygons((RING - 3,))])
def test_what_is_outside_is_cut_off(shape: Rectangle | Polygons) -> None:
    inside = shape.cut(6, 8)
    assert inside
    assert min(inside.box) >= 0
    assert np.array_equal(inside.mask(6, 8), shape.mask(6, 8))
    assert shape.cut(6, 8) is not None
    assert Region("a", Rectangle(9, 1, 2, 2)).cut(6, 8) is None
    assert Region("a", Polygons((RING + 9,))).cut(6, 8) is None


@pytest.mark.parametrize("seed", range(10))
def test_runs_are_the_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 40, 2))
    mask = rng.random((height, width)) < rng.random()
    runs = Runs.of(mask)
    assert np.array_equal(runs.mask(height, width), mask)
    rows, columns = np.nonzero(mask)
    if len(rows):
        left, top, wide, high = runs.box
        assert (left, top) == (columns.min(), rows.min())
        assert (left + wide, top + high) == (columns.max() + 1, rows.max() + 1)
    else:
        assert runs.box == (0, 0, 0, 0)
        assert runs.cut(height, width) is None


@pytest.mark.parametrize("counts", [(), (5,), (3, -3, 12), (0, 13)])
def test_runs_that_do_not_fit_are_refused(counts: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="Export the mask again"):
        Runs(3, 4, counts)
    with pytest.raises(InputError, match="does not fit an image of 5 x 3 px"):
        Runs(3, 4, (12,)).mask(3, 5)


def test_runs_of_an_absurd_size_are_refused_at_once() -> None:
    with pytest.raises(InputError):
        Runs(10**9, 10**9, (10**18,))


def test_an_empty_polygon_has_no_area() -> None:
    assert Polygons(()).box == (0, 0, 0, 0)
    assert Polygons(()).cut(5, 5) is None


def test_overlap_of_marks() -> None:
    one, other = Region("a", Rectangle(0, 0, 10, 10)), Region("a", Rectangle(5, 0, 10, 10))
    assert overlap([one], [other], 20, 20) == pytest.approx(50 / 150)
    assert overlap([], [], 20, 20) == 1.0 and overlap([one], [], 20, 20) == 0.0


@pytest.mark.parametrize(("left", "top"), [(0, 0), (2, 3), (5, 4)])
def test_a_placed_mask_is_the_whole_mask_without_drawing_it(left: int, top: int) -> None:
    for seed in range(6):
        part = np.random.default_rng(seed).random((4, 3)) < (0.5, 1.1)[seed == 0]
        for height, width in ((8, 8), (top + 4, left + 3)):
            whole = np.zeros((height, width), bool)
            whole[top : top + 4, left : left + 3] = part
            assert Runs.placed(part, left, top, height, width) == Runs.of(whole)
    with pytest.raises(InputError, match="reaches outside the image of 8 x 5 px"):
        Runs.placed(part, 6, 0, 5, 8)


# Outlines and masks say the same.

SQUARE = np.array([(1.0, 1.0), (5.0, 1.0), (5.0, 4.0), (1.0, 4.0)])


def test_a_pixel_belongs_where_its_centre_is() -> None:
    assert fill([SQUARE], 6, 8).sum() == 12
    assert fill([SQUARE + 0.4], 6, 8)[1:4, 1:5].all()
    assert fill([SQUARE + 0.6], 6, 8)[2:5, 2:6].all()
    assert not fill([], 3, 4).any()


def test_rings_add_up_and_holes_cut_out() -> None:
    assert fill([SQUARE, SQUARE + 1], 8, 8).sum() == 12 + 12 - 6
    inner = SQUARE[::-1] * 0.5 + (1.5, 1.0)
    assert fill([SQUARE, inner], 8, 8).sum() < 12
    assert signed_area(SQUARE) == -signed_area(SQUARE[::-1]) == 12


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (23, 31)])
def test_a_traced_mask_fills_to_itself(share: float, shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random(shape) < share
    rings = trace(mask)
    assert np.array_equal(fill(rings, *shape), mask)
    assert sum(signed_area(ring) for ring in rings) == mask.sum()
    if rings:
        assert np.array_equal(fill([joined(rings)], *shape), mask)


def test_tracing_keeps_corners_only() -> None:
    (ring,) = trace(np.ones((40, 50), bool))
    assert sorted(map(tuple, ring.tolist())) == [(0, 0), (0, 40), (50, 0), (50, 40)]


@pytest.mark.parametrize("seed", range(20))
def test_a_cut_ring_fills_the_same_pixels_of_the_image(seed: int) -> None:
    ring = np.random.default_rng(seed).uniform(-15, 35, (7, 2))
    part = cut(ring, 18, 22)
    assert np.array_equal(fill([part], 18, 22), fill([ring], 18, 22))
    if len(part):
        assert part.min() >= 0
        assert (part.max(axis=0) <= (22, 18)).all()


def test_nothing_is_left_of_a_ring_outside() -> None:
    assert len(cut(SQUARE + 100, 18, 22)) == 0


def test_a_line_has_no_area_and_a_figure_of_eight_has() -> None:
    assert not has_area(np.array([(1.0, 1), (2, 2), (5, 5)]))
    assert not has_area(np.zeros((4, 2)))
    eight = np.array([(0.0, 0), (4, 4), (4, 0), (0, 4)])
    assert signed_area(eight) == 0
    assert has_area(eight)
    assert fill([eight], 4, 4).any()
