"""Parts on a plain ground are found, whole and cut off, under shadows and uneven light; a ground alone is none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.runtime.part_outline import find_parts

RED, GROUND = (180, 60, 50), 96


def ground(seed: int = 0, size: tuple[int, int] = (480, 640)) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(GROUND, 5, (*size, 1))
    return np.repeat(np.clip(noise, 0, 255), 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_a_ground_alone_holds_no_part(seed: int) -> None:
    light = np.linspace(0.93, 1.07, 640)[None, :, None]
    assert find_parts((ground(seed) * light).astype(np.uint8)) == ()


def test_a_part_is_outlined_and_its_shadow_is_not() -> None:
    image = ground()
    cv2.circle(image, (330, 260), 100, (78, 78, 78), -1)  # the shadow, up to the right and below
    cv2.circle(image, (310, 245), 100, RED, -1)
    (part,) = find_parts(image)
    assert part.box == pytest.approx((210, 145, 201, 201), abs=6)
    assert not part.is_cut
    assert cv2.contourArea(part.contour) == pytest.approx(np.pi * 100**2, rel=0.06)


def test_a_part_beyond_the_border_is_cut_and_two_are_two_and_crumbs_are_none() -> None:
    image = ground()
    cv2.circle(image, (20, 240), 90, RED, -1)
    assert find_parts(image)[0].is_cut
    cv2.circle(image, (450, 240), 80, RED, -1)
    assert len(find_parts(image)) == 2
    crumbs = ground()
    cv2.circle(crumbs, (320, 240), 110, RED, -1)
    cv2.circle(crumbs, (560, 90), 9, RED, -1)
    assert len(find_parts(crumbs)) == 1


def test_a_part_under_light_that_falls_off_is_whole_and_one_that_is_cut_stays_cut() -> None:
    image = ground().astype(np.float64)
    image[:10] = 235  # a tray's rim, and its gleam down to the part
    image[10:200, 200:420] += 45
    lit = np.clip(image, 0, 255).astype(np.uint8)
    cv2.circle(lit, (310, 275), 100, (240, 190, 120), -1)
    (part,) = find_parts(lit)
    assert (part.box, part.is_cut) == (pytest.approx((210, 175, 201, 201), abs=6), False)
    cut = ground()  # its paler half lies beyond the border
    cv2.rectangle(cut, (0, 160), (160, 320), (160, 90, 90), -1)
    cv2.rectangle(cut, (160, 160), (320, 320), (250, 30, 30), -1)
    assert [part.is_cut for part in find_parts(cut)] == [True]


def test_an_outline_lies_as_far_out_on_all_sides() -> None:
    image = ground(size=(720, 1280))
    cv2.circle(image, (640, 360), 60, RED, -1)
    (part,) = find_parts(image)
    moments = cv2.moments(part.contour)
    middle = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    assert middle == pytest.approx((640, 360), abs=0.7)
