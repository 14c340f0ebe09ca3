"""Pictures as the bytes of files of every kind."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

Encode = Callable[..., bytes]


@pytest.fixture(scope="session")
def scene() -> NDArray[np.uint8]:
    """A picture (H, W, 3) with edges, a gradient and noise: nothing that a coder could leave out."""
    down, along = np.mgrid[:200, :280]
    picture = np.stack([along * 255 // 280, down * 255 // 200, (along + down) * 255 // 480], 2).astype(float)
    cv2.circle(picture, (150, 90), 40, (200, 60, 40), -1)
    return np.clip(picture + np.random.default_rng(0).normal(0, 5, picture.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def encode() -> Encode:
    """encode(picture, "TIFF", compression="tiff_lzw") -> bytes, by Pillow."""

    def encoded(picture: NDArray[Any], format: str, **options: Any) -> bytes:
        stream = io.BytesIO()
        Pillow.fromarray(picture).save(stream, format, **options)
        return stream.getvalue()

    return encoded
