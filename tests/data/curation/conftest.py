"""Drawn sets for curation: plates that differ like real parts, and an embedding that needs no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.sample import Sample

Picture = NDArray[np.uint8]
Plant = Callable[..., list[Sample]]


def look(images: Sequence[Picture]) -> NDArray[np.float32]:
    """How yellow the yellowest place is, the colours' mean and spread, and a coarse grey picture."""
    rows = []
    for image in images:
        small = cv2.resize(image, (12, 12), interpolation=cv2.INTER_AREA).astype(np.float32)
        yellow = small[..., 0] - small[..., 2]
        grey = cv2.resize(small.mean(axis=2), (3, 3), interpolation=cv2.INTER_AREA)
        rows.append([yellow.max(), yellow.std(), *small.mean((0, 1)), *small.std((0, 1)), *grey.ravel()])
    return np.array(rows, np.float32)


def draw_plate(seed: int, flawed: bool = False) -> Picture:
    """A plate (96, 128, 3) with grain of its own; flawed ones have a yellow spot."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (96, 128)), (0, 0), 2.0)
    grey = 120 + 60 * grain / grain.std() * 0.3 + rng.normal(0, 2, (96, 128)) + rng.normal(0, 4)
    image = np.clip(np.repeat(grey[..., None], 3, 2), 20, 235).astype(np.uint8)
    image[10:14] = image[-14:-10] = 60  # the fixture, the same in every picture
    if flawed:
        cv2.circle(image, (int(rng.integers(25, 100)), int(rng.integers(30, 66))), 12, (230, 210, 20), -1)
    return image


@pytest.fixture(scope="session")
def embed() -> Callable[[Sequence[Picture]], NDArray[np.float32]]:
    return look


@pytest.fixture(scope="session")
def plate() -> Callable[..., Picture]:
    return draw_plate


@pytest.fixture
def plant(tmp_path: Path, write: Any) -> Plant:
    """A clean set of 24 good and 12 flawed plates with what is planted: images by name, changes of samples."""

    def make(extra: dict[str, Picture] | None = None, good: int = 24, flawed: int = 12) -> list[Sample]:
        samples = []
        for number in range(good + flawed):
            bad = number >= good
            path = write(tmp_path / f"{'flaw' if bad else 'good'}{number:02}.png", draw_plate(number, bad))
            samples.append(Sample(path, bad, ("stain",) if bad else (), lot="ABC"[number % 3]))
        for name, image in (extra or {}).items():
            samples.append(Sample(write(tmp_path / name, image), False, lot="A"))
        return samples

    return make
