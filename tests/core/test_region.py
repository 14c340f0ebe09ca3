"""A region's shapes agree with one another."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.region import Polygons, Rectangle, Region, Runs, overlap

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
