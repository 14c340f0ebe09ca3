"""Other looks of the same part: the label stays, masks move exactly with the picture, and nothing moves at 0."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.errors import InputError, SettingError
from sightline.data.augment import LOOKS, MOVES, Augmentation

Image = NDArray[np.uint8]
KINDS = [*MOVES, *LOOKS]


def _part(high: int = 90, wide: int = 120, seed: int = 0) -> Image:
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(130, 90, (high, wide, 3)).astype(np.float32), (0, 0), 2)
    return np.clip(noise, 0, 255).astype(np.uint8)


def _shape(high: int = 90, wide: int = 120) -> NDArray[np.bool_]:
    """A shape that looks different from every side."""
    drawn = np.zeros((high, wide), np.uint8)
    cv2.fillPoly(drawn, [np.array([(50, 30), (80, 35), (75, 60), (60, 45), (45, 62)], np.int32)], 1)
    cv2.circle(drawn, (36, 40), 7, 1, -1)
    return drawn > 0


def _only(kind: str, strength: float = 1.0) -> Augmentation:
    return Augmentation(strength, frozenset(KINDS) - {kind})


@pytest.mark.parametrize("strength", [0.2, 1.0])
@pytest.mark.parametrize("size", [(16, 16), (17, 40), (90, 120)])
@pytest.mark.parametrize("value", [None, 0, 255])
def test_pictures_stay_pictures(strength: float, size: tuple[int, int], value: int | None) -> None:
    image = _part(*size) if value is None else np.full((*size, 3), value, np.uint8)
    masks = np.random.default_rng(0).random((3, *size)) > 0.5
    for seed in range(12):
        before = image.copy()
        made, moved = Augmentation(strength)(image, masks, np.random.default_rng(seed))
        assert made.dtype == np.uint8 and made.shape == image.shape
        assert moved.dtype == np.bool_ and moved.shape == masks.shape
        assert np.array_equal(image, before), "the original was changed"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_does_something_and_can_be_ruled_out(kind: str) -> None:
    image, masks = _part(), np.zeros((0, 90, 120), bool)
    changed = [not np.array_equal(_only(kind)(image, masks, np.random.default_rng(s))[0], image) for s in range(24)]
    assert sum(changed) >= 2
    nothing = Augmentation(1.0, set(KINDS))
    assert np.array_equal(nothing(image, masks, np.random.default_rng(0))[0], image)


def test_no_strength_is_the_identity() -> None:
    image, masks = _part(), _shape()[None]
    for seed in range(5):
        made, moved = Augmentation(0)(image, masks, np.random.default_rng(seed))
        assert np.array_equal(made, image) and np.array_equal(moved, masks)


@pytest.mark.parametrize("kind", MOVES)
def test_little_strength_changes_little(kind: str) -> None:
    image, masks = _part(), _shape()[None].astype(np.float32)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        made, moved = _only(kind, 1e-9)(image, masks, rng)
        assert np.array_equal(made, image) and np.array_equal(moved, masks)


@pytest.mark.parametrize("kind", [*MOVES, "all"])
def test_the_mask_of_a_drawn_shape_is_the_shape_on_the_moved_picture(kind: str) -> None:
    shape = _shape()
    image = np.repeat(shape[..., None].astype(np.uint8) * np.uint8(255), 3, axis=2)
    augment = Augmentation(1.0, frozenset(LOOKS)) if kind == "all" else _only(kind)
    moves = 0
    for seed in range(20):
        made, moved = augment(image, shape[None], np.random.default_rng(seed))
        assert np.array_equal(made[..., 0] > 127, moved[0])
        moves += not np.array_equal(moved[0], shape)
    assert moves >= 8


def test_soft_masks_move_as_hard_ones() -> None:
    shape = _shape()
    augment = Augmentation(1.0, frozenset(LOOKS))
    for seed in range(10):
        hard, soft = (augment(_part(), mask[None], np.random.default_rng(seed))[1][0]
                      for mask in (shape, shape.astype(np.float32)))  # fmt: skip
        assert soft.dtype == np.float32
        assert ((soft > 0.5) != hard).mean() < 1e-3


@pytest.mark.parametrize("kind", LOOKS)
def test_looks_leave_masks_alone(kind: str) -> None:
    for masks in (_shape()[None], _shape()[None].astype(np.float32) * 0.3):
        for seed in range(6):
            assert np.array_equal(_only(kind)(_part(), masks, np.random.default_rng(seed))[1], masks)


def test_a_mark_at_the_border_is_not_lost() -> None:
    mask = np.zeros((1, 90, 120), bool)
    mask[0, :3, :3] = True
    for seed in range(60):
        moved = Augmentation(1.0)(_part(), mask, np.random.default_rng(seed))[1]
        assert moved.sum() >= 4


def test_a_small_dark_spot_stays_visible() -> None:
    image = np.full((120, 120, 3), 170, np.uint8)
    image[60:63, 60:63] = 60
    mask = np.zeros((1, 120, 120), bool)
    mask[0, 60:63, 60:63] = True
    for seed in range(40):
        made, moved = Augmentation(1.0)(image, mask, np.random.default_rng(seed))
        near = cv2.dilate(moved[0].astype(np.uint8), np.ones((15, 15))) > 0
        assert made[near & ~moved[0]].mean() - made[moved[0]].min() > 15


def test_a_grey_picture_stays_grey() -> None:
    image = np.repeat(_part()[..., :1], 3, axis=2)
    for seed in range(12):
        made, _ = Augmentation(1.0)(image, np.zeros((0, 90, 120), bool), np.random.default_rng(seed))
        assert (made == made[..., :1]).all()


def test_equal_seeds_look_equal() -> None:
    image, masks = _part(), _shape()[None]
    first, again, other = (Augmentation(0.7)(image, masks, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_what_cannot_be_augmented_is_named() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(SettingError, match="strength"):
        Augmentation(1.1)
    with pytest.raises(SettingError, match=r"'flips'.*flip, rotation"):
        Augmentation(0.5, {"flips"})
    with pytest.raises(InputError, match="uint8"):
        Augmentation()(_part().astype(np.float32), np.zeros((0, 90, 120)), rng)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"\(K, H, W\)"):
        Augmentation()(_part(), np.zeros((90, 120)), rng)
