"""Patches: shapes keep their area at any size, stay on the image, and paint only what they cover."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sightline.data.sample.drawing import blob_outline, curve, polygon, wander


@pytest.mark.parametrize("size", [64, 200, 512])
def test_area_of_a_shape_is_a_fraction_of_the_image_at_any_size(size: int) -> None:
    square = np.array([[0.31, 0.42], [0.55, 0.42], [0.55, 0.66], [0.31, 0.66]])
    assert polygon(size, square).alpha.sum() / size**2 == pytest.approx(0.24**2, rel=0.08)


@pytest.mark.parametrize("size", [64, 128, 200, 512])
@pytest.mark.parametrize("width", [0.001, 0.002, 0.005, 0.01, 0.02])
@pytest.mark.parametrize("end", [(0.7, 0.6), (0.7, 0.3), (0.2, 0.8)])
def test_a_line_has_its_width_at_any_size(size: int, width: float, end: tuple[float, float]) -> None:
    line = np.array([[0.2, 0.3], end])
    caps = math.pi / 4 * width**2
    area = float(np.linalg.norm(line[1] - line[0])) * width + caps
    assert curve(size, line, width).alpha.sum() / size**2 == pytest.approx(area, rel=0.10)


def test_a_hair_thinner_than_a_pixel_gets_faint_not_lost() -> None:
    line = np.array([[0.1, 0.513], [0.9, 0.513]])
    hair, double = (curve(64, line, width).alpha.sum() for width in (0.001, 0.002))
    assert 0 < hair < double < 64


def test_shapes_are_clipped_to_the_image() -> None:
    planes = np.full((3, 50, 50), 0.5, np.float32)
    rng = np.random.default_rng(0)
    for centre in ((0.0, 0.0), (1.0, 0.5), (3.0, 3.0)):
        outline = blob_outline(np.array(centre), 0.2, rng)
        polygon(50, outline, soft=0.02).paint(planes, (1.0, 0.0, 0.0))
    assert planes[0, 0, 0] > 0.9
    assert planes[1, 0, 0] < 0.1
    assert planes[0, 25, 10] == 0.5


def test_shade_multiplies_and_opacity_blends() -> None:
    square = np.array([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]])
    patch = polygon(100, square)
    planes = np.full((3, 100, 100), 0.4, np.float32)
    patch.shade(planes, (0.5, 1.0, 2.0))
    assert planes[:, 50, 50] == pytest.approx([0.2, 0.4, 0.8])
    patch.paint(planes, (1.0, 1.0, 1.0), 0.5)
    assert planes[:, 50, 50] == pytest.approx([0.6, 0.7, 0.9])
    assert planes[:, 5, 5] == pytest.approx([0.4, 0.4, 0.4])


def test_a_wandering_path_has_its_length() -> None:
    path = wander(np.array([0.5, 0.5]), 1.0, 0.3, np.random.default_rng(1))
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).sum() == pytest.approx(0.3)
