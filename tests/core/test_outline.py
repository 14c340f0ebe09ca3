"""Outlines and masks say the same."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.core.outline import cut, fill, has_area, joined, signed_area, trace

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
