"""The alignment test: it says yes where parts move and can be brought back, and no everywhere else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.sample import Sample
from sightline.data.sample import render
from sightline.runtime.inspector import Inspector
from sightline.train.images.alignment import try_alignment
from sightline.train.images.loader import ImageLoader, InputSize, Part, TrainingWarning, accept

Picture = NDArray[np.uint8]
SIZE = 200
WHOLE = (0.0, 0.0, 1.0, 1.0)


def _boards(count: int, seed: int = 3) -> list[Picture]:
    return [part.image for part in render("board", count, size=SIZE, seed=seed)]


def _shaken(images: Iterable[Picture], seed: int, shift: float = 0.03, angle: float = 3.0) -> list[Picture]:
    """Copies that are shifted by up to `shift` of the side and turned by up to `angle` degrees."""
    rng, shaken = np.random.default_rng(seed), []
    for image in images:
        high, wide = image.shape[:2]
        motion = np.asarray(cv2.getRotationMatrix2D(((wide - 1) / 2, (high - 1) / 2), rng.uniform(-angle, angle), 1.0))
        motion[:, 2] += rng.uniform(-shift, shift, 2) * wide
        shaken.append(np.asarray(cv2.warpAffine(image, motion, (wide, high), borderMode=cv2.BORDER_REPLICATE)))
    return shaken


def _parts(folder: Path, images: Sequence[Picture], write: Any) -> list[Part]:
    paths = [write(folder / f"{index:03}.png", image) for index, image in enumerate(images)]
    return accept([Sample(path=path, defective=False) for path in paths])


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory, write: Any) -> list[Part]:
    """Sixteen boards that lie differently."""
    return _parts(tmp_path_factory.mktemp("boards"), _shaken(_boards(16), 0), write)


def test_boards_that_lie_differently_are_aligned(boards: list[Part]) -> None:
    found = try_alignment(boards, "auto", seed=0)
    assert found.golden is not None
    assert found.golden.motion == "rigid"
    assert 0.02 <= found.golden.max_shift <= 0.2
    assert 1.0 <= found.golden.max_angle_deg <= 15
    assert found.golden.least_correlation >= 0.4
    assert found.reason.startswith("on: 100% of 16 good parts")
    assert "8 held-out parts differ less by" in found.reason


def test_never_means_never(boards: list[Part]) -> None:
    found = try_alignment(boards, "never", seed=0)
    assert (found.golden, found.reason) == (None, "off: the setting says never")


def test_parts_that_are_only_shifted_are_not_turned(tmp_path: Path, write: Any) -> None:
    board = _boards(1)[0]
    found = try_alignment(_parts(tmp_path, _shaken([board] * 10, 1, angle=0.0), write), "auto", seed=0)
    assert found.golden is not None
    assert (found.golden.motion, found.golden.max_angle_deg) == ("translation", 0.0)


def test_parts_turned_any_way_are_aligned(tmp_path: Path, write: Any) -> None:
    caps = [part.image for part in render("cap", 10, size=SIZE, seed=3)]
    found = try_alignment(_parts(tmp_path, _shaken(caps, 2, angle=180.0), write), "auto", seed=0)
    assert found.golden is not None
    assert found.golden.max_angle_deg > 60


def _weave(seed: int) -> Picture:
    """A window on an endless twill: the same everywhere."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(400) + rng.integers(0, 100), np.arange(400) + rng.integers(0, 100))
    warp = ((x + y) // 6 % 2).astype(float)
    grey = 90 + 60 * cv2.GaussianBlur(warp, (0, 0), 1.2) + rng.normal(0, 6, warp.shape)
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_a_texture_is_declined(tmp_path: Path, write: Any) -> None:
    images = [_weave(seed) for seed in range(10)]
    found = try_alignment(_parts(tmp_path, images, write), "auto", seed=0)
    assert found.golden is None
    assert "fits anywhere" in found.reason


def _blob(seed: int) -> Picture:
    """A cookie: a blob of its own outline with its own crumbs, somewhere on a dark belt."""
    rng = np.random.default_rng(seed)
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    radius = 60 + sum(rng.normal(0, 6) * np.cos(k * angles + rng.uniform(0, 6)) for k in range(2, 6))
    centre = SIZE / 2 + rng.uniform(-12, 12, 2)
    outline = centre + np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)
    image = np.full((SIZE, SIZE, 3), 40, np.uint8)
    cv2.fillPoly(image, [outline.astype(np.int32)], (190, 150, 100), cv2.LINE_AA)
    for _ in range(60):
        x, y = (centre + rng.normal(0, 30, 2)).astype(int)
        cv2.circle(image, (int(x), int(y)), int(rng.integers(2, 6)), (110, 70, 40), -1, cv2.LINE_AA)
    return image


def test_unlike_parts_are_declined(tmp_path: Path, write: Any) -> None:
    found = try_alignment(_parts(tmp_path, [_blob(seed) for seed in range(16)], write), "auto", seed=0)
    assert found.golden is None
    assert found.reason.startswith("off: ")


def test_parts_that_lie_still_are_declined(tmp_path: Path, write: Any) -> None:
    board, rng = _boards(1)[0], np.random.default_rng(0)
    noisy = [np.clip(board + rng.normal(0, 3, board.shape), 0, 255).astype(np.uint8) for _ in range(10)]
    found = try_alignment(_parts(tmp_path, noisy, write), "auto", seed=0)
    assert found.golden is None
    assert "nothing to gain" in found.reason


def test_too_few_parts_are_declined_and_always_takes_them(boards: list[Part]) -> None:
    few = try_alignment(boards[:5], "auto", seed=0)
    assert few.golden is None
    assert "5 good parts of one shape are too few" in few.reason
    wanted = try_alignment(boards[:5], "always", seed=0)
    assert wanted.golden is not None
    assert wanted.reason.startswith("on: the setting says always; 100% of 5 good parts")


def test_images_of_many_shapes_are_declined(tmp_path: Path, write: Any) -> None:
    images = [np.ascontiguousarray(board[: 200 - 15 * (i % 8)]) for i, board in enumerate(_boards(16))]
    assert try_alignment(_parts(tmp_path, images, write), "auto", seed=0).golden is None


def test_files_that_are_no_images_are_passed_over(boards: list[Part], tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("no image")
    broken = accept([Sample(path=tmp_path / "broken.png", defective=False)])
    assert try_alignment([*boards[:9], *broken], "auto", seed=0).golden is not None


def test_an_intake_brings_parts_into_one_pose(boards: list[Part]) -> None:
    golden = try_alignment(boards, "auto", seed=0).golden
    size = InputSize(SIZE // 32 * 32, SIZE // 32 * 32, 0.96)

    def spread(loader: ImageLoader) -> float:
        images = np.stack([prepared.images[0] for part in boards if (prepared := loader(part)) is not None])
        return float(images[:, 20:-20, 20:-20].astype(float).std(axis=0).mean())

    assert spread(ImageLoader(boards, size, WHOLE, golden)) < 0.6 * spread(ImageLoader(boards, size, WHOLE))


def test_a_training_part_that_cannot_be_aligned_is_named(boards: list[Part], tmp_path: Path, write: Any) -> None:
    golden = try_alignment(boards, "auto", seed=0).golden
    stray = _parts(tmp_path, [np.full((SIZE, SIZE, 3), 90, np.uint8)], write)
    loader = ImageLoader(stray, InputSize(192, 192, 0.96), WHOLE, golden)
    with pytest.warns(TrainingWarning, match=r"000\.png: could not be aligned"):
        assert loader(stray[0]) is not None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:an outlier", "ignore:.*photos")
def test_a_training_on_moving_boards_aligns_and_finds_the_defect_in_place(
    boards: list[Part], train_tiny: Any, tmp_path: Path
) -> None:
    recipe = train_tiny(
        [part.sample for part in boards], side_px=192, bank_size=1024, sample_patches=20000, align="always"
    )
    assert recipe.card.golden is not None
    assert recipe.card.choices["alignment"].startswith("on: ")
    spoilt = _boards(1, seed=9)[0].copy()
    cv2.circle(spoilt, (60, 150), 9, (250, 250, 250), -1)
    result = Inspector(recipe.save(tmp_path / "boards.onnx"), threads=1).inspect(spoilt)
    row, column = np.unravel_index(int(result.heatmap.argmax()), result.heatmap.shape)
    assert np.hypot(column - 60, row - 150) <= 16
