"""A frame taken by hand becomes the view that a recipe has learned, or it is said what is amiss."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.card import MEASURES, AppearanceCard, Card, Spread
from sightline.runtime.appearance import Appearance
from sightline.runtime.handheld import Placement, State, state_by_looks
from sightline.runtime.recipe import Recipe

SIZE = (240, 320)


def scene(size: tuple[int, int], centre: tuple[int, int], radius: int, tall: float = 1.0) -> NDArray[np.uint8]:
    """A disc with a notch to its right on a ground."""
    image = np.full((*size, 3), 90, np.uint8)
    cv2.ellipse(image, (centre, (2 * radius, 2 * radius * tall), 0), (200, 60, 40), -1)
    cv2.circle(image, (centre[0] + radius // 2, centre[1]), radius // 5, (240, 220, 40), -1)
    return image


@pytest.fixture
def card(recipe: Recipe) -> Card:
    return recipe.card.model_copy(update={"width": 160, "height": 120, "scale": 0.5})


@pytest.fixture
def place(card: Card) -> Placement:
    return Placement.of(card, [scene(SIZE, (160, 120), 80)])


def test_the_place_is_that_of_the_pictures(place: Placement) -> None:
    assert place.size == SIZE
    assert place.part == pytest.approx((0.25, 1 / 6, 0.5, 2 / 3), abs=0.02)


@pytest.mark.parametrize(("centre", "radius"), [((320, 240), 80), ((400, 250), 130), ((250, 210), 110)])
def test_a_part_anywhere_is_seen_as_in_the_pictures(
    place: Placement, card: Card, centre: tuple[int, int], radius: int
) -> None:
    found = place.present(scene((480, 640), centre, radius), card)
    assert found.state is State.READY
    assert found.picture is not None
    wrong = np.abs(found.picture.astype(int) - scene(SIZE, (160, 120), 80))
    assert wrong.mean() < 4
    # What is found in the view lies at the right place of the frame.
    (back,) = found.onto_frame(np.array([(200, 120)], np.int32))
    assert back == pytest.approx((centre[0] + radius / 2, centre[1]), abs=0.04 * radius)


def test_what_cannot_be_inspected_is_said_and_has_no_picture(place: Placement, card: Card) -> None:
    size = (480, 640)
    two = scene(size, (180, 240), 80)
    two[:, 320:] = scene(size, (460, 240), 80)[:, 320:]
    cases = {
        State.NONE: np.full((*size, 3), 90, np.uint8),
        State.DARK: np.full((*size, 3), 9, np.uint8),
        State.BRIGHT: np.full((*size, 3), 250, np.uint8),
        State.SEVERAL: two,
        State.CUT: scene(size, (30, 240), 90),
        State.FAR: scene(size, (320, 240), 26),
    }
    for wanted, frame in cases.items():
        found = place.present(frame, card)
        assert (found.state, found.picture) == (wanted, None)
    assert place.present(scene(size, (320, 240), 100, tall=0.6), card).state is State.TURNED


def test_pictures_without_a_ground_are_aimed_at_in_the_middle(card: Card) -> None:
    weave = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    found = Placement.of(card, [weave]).present(np.zeros((480, 640, 3), np.uint8), card)
    assert found.state is State.READY
    x, y, w, h = found.view or (0, 0, 0, 0)
    assert (x + w / 2, y + h / 2) == pytest.approx((320, 240), abs=1)
    assert w / h == pytest.approx(320 / 240, rel=0.01)


def test_light_sharpness_and_turn_are_those_of_the_training(card: Card, recipe: Recipe) -> None:
    usual = {name: Spread(mean=1.0, scale=0.1, of=9) for name in MEASURES}
    assert recipe.card.appearance is not None
    learned = AppearanceCard.model_validate({**recipe.card.appearance.model_dump(), "measures": usual})
    known = card.model_copy(update={"appearance": learned})
    seen = Appearance((1.0,) * len(MEASURES), np.zeros((10, 10), np.uint8))

    def state(name: str, value: float) -> State:
        values = [value if one == name else 1.0 for one in MEASURES]
        return state_by_looks(replace(seen, measures=tuple(values)), known)

    assert state_by_looks(seen, known) is State.READY
    assert state("brightness", 0.4) is State.DARK
    assert state("brightness", 1.6) is State.BRIGHT
    assert state("sharpness", -0.1) is State.BLURRED
    assert state("turn", -9.0) is State.TURNED
    assert state("sharpness", 2.0) is State.READY
