"""Deletion, insertion and the pointing game, with scores whose true explanation is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.evaluate.bounds import clopper_pearson
from sightline.evaluate.fidelity import fidelity, pointing_game, points_at

SPOT = (slice(4, 8), slice(8, 12))


def picture() -> np.ndarray:
    image = np.full((16, 16, 3), 20, np.uint8)
    image[SPOT] = 220
    return image


def brightness(images: np.ndarray) -> np.ndarray:
    """How bright the spot is, 0..1."""
    return images[:, SPOT[0], SPOT[1]].mean(axis=(1, 2, 3)) / 255


def on_spot(value: float = 1.0) -> np.ndarray:
    heat = np.zeros((16, 16), np.float32)
    heat[SPOT] = value
    return heat


def test_deletion_by_hand() -> None:
    found = fidelity(brightness, picture(), on_spot())
    # 16 px of the spot are the first of 16 steps of 16 px; the mean colour is 20 + 200 / 16 = 32.5, 32 as uint8.
    assert len(found.deletion_curve) == 17
    assert found.deletion_curve[0] == pytest.approx(220 / 255)
    assert found.deletion_curve[1:] == pytest.approx([32 / 255] * 16)
    assert found.deletion == pytest.approx((32 + (220 - 32) / 2 / 16) / 255)
    assert found.insertion_curve[1:] == pytest.approx([220 / 255] * 16)
    assert found.insertion_curve[0] < 0.8
    assert json.loads(json.dumps(found.to_json()))["deletion"] == found.deletion


def test_the_true_explanation_beats_noise_and_its_opposite() -> None:
    random = np.random.default_rng(0)
    true = fidelity(brightness, picture(), on_spot())
    for other in (random.random((16, 16)), -on_spot()):
        worse = fidelity(brightness, picture(), other)
        assert true.deletion < worse.deletion
        assert true.insertion > worse.insertion


def test_equals_one_image_at_a_time() -> None:
    random = np.random.default_rng(1)
    image = random.integers(0, 256, (15, 11, 3)).astype(np.uint8)
    heat = random.random((15, 11))
    found = fidelity(lambda images: images.mean(axis=(1, 2, 3)), image, heat, steps=7)
    order = sorted(np.ndindex(15, 11), key=lambda place: -heat[place])
    expected = []
    for step in range(8):
        changed = image.copy()
        for place in order[: round(165 * step / 7)]:
            changed[place] = image.mean(axis=(0, 1)).round()
        expected.append(changed.mean())
    assert found.deletion_curve == pytest.approx(expected)
    assert found.insertion_curve[-1] == pytest.approx(image.mean())
    assert found.deletion_curve[0] == pytest.approx(image.mean())


def test_batches_are_bounded_and_change_nothing() -> None:
    sizes: list[int] = []

    def score(images: np.ndarray) -> np.ndarray:
        sizes.append(len(images))
        assert images.dtype == np.uint8
        return brightness(images)

    found = fidelity(score, picture(), on_spot(), batch=5)
    assert sizes == [5, 5, 5, 2] * 2
    assert found == fidelity(brightness, picture(), on_spot(), batch=100)


def test_a_nan_in_the_heat_counts_as_the_hottest() -> None:
    assert fidelity(brightness, picture(), on_spot(np.nan)) == fidelity(brightness, picture(), on_spot())


def test_bad_input_is_refused_with_a_remedy() -> None:
    with pytest.raises(InputError, match="Check the recipe"):
        fidelity(lambda images: np.full(len(images), np.nan), picture(), on_spot())
    with pytest.raises(ValueError, match="one score per image"):
        fidelity(lambda images: np.zeros(1), picture(), on_spot())
    with pytest.raises(ValueError, match="Resize it"):
        fidelity(brightness, picture(), on_spot()[:4])
    with pytest.raises(ValueError, match="uint8"):
        fidelity(brightness, picture().astype(np.float32), on_spot())
    with pytest.raises(ValueError, match="at least 1 of each"):
        fidelity(brightness, picture(), on_spot(), steps=0)


def test_pointing_by_hand() -> None:
    mask = np.zeros((40, 60), bool)
    mask[10:20, 30:40] = True
    heat = np.zeros((40, 60))
    heat[12, 35] = 1.0
    assert points_at(heat, mask, 0) is True
    heat[12, 45] = 2.0  # 6 px right of the mask
    assert points_at(heat, mask, 5) is False
    assert points_at(heat, mask, 6) is True
    heat[4, 47] = 3.0  # 6 px above, 8 px right
    assert points_at(heat, mask, 9.9) is False
    assert points_at(heat, mask, 10) is True
    heat[39, 0] = np.nan
    assert points_at(heat, mask) is False


def test_a_coarse_cell_stands_at_its_centre() -> None:
    mask = np.zeros((40, 60), bool)
    mask[15, 50] = True
    heat = np.zeros((4, 6))
    heat[1, 5] = 1.0  # centre (15, 55)
    assert points_at(heat, mask, 4.9) is False
    assert points_at(heat, mask, 5) is True


def test_a_flat_map_points_nowhere_and_an_empty_mask_asks_nothing() -> None:
    mask = np.zeros((40, 60), bool)
    assert points_at(np.zeros((40, 60)), mask) is None
    mask[0, 0] = True
    assert points_at(np.zeros((40, 60)), mask) is False
    assert points_at(np.zeros((40, 60)), ~np.zeros((40, 60), bool)) is True


def test_the_game_counts_hits_with_their_bound() -> None:
    mask = np.zeros((16, 16), bool)
    mask[SPOT] = True
    pairs = [(on_spot(), mask), (-on_spot(), mask), (on_spot(), np.zeros((16, 16), bool))]
    found = pointing_game(pairs, tolerance_px=2)
    assert (found.count, found.of) == (1, 2)
    assert (found.lower, found.upper) == clopper_pearson(1, 2)
    assert pointing_game([]).value is None
    with pytest.raises(ValueError, match="do not work"):
        points_at(np.zeros((0, 3)), mask)
    with pytest.raises(ValueError, match="do not work"):
        points_at(on_spot(), mask, -1)
