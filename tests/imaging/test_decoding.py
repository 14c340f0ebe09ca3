"""The size from the header is the size of the decoded image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.core.errors import InputError
from sightline.imaging.decoding import image_size
from sightline.imaging.image import read_image


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp", ".pgm"])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_every_kind_of_file_has_its_size(suffix: str, channels: tuple[int, ...], tmp_path: Path, write: Any) -> None:
    path = write(
        tmp_path / f"1{'.ppm' if suffix == '.pgm' and channels else suffix}", np.zeros((40, 70, *channels), np.uint8)
    )
    assert image_size(path) == read_image(path)[0].shape[:2] == (40, 70)


@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_turned_image_has_its_upright_size(turn: int, suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / f"1{suffix}"
    Image.new("RGB", (70, 40)).save(path, exif=exif)
    assert image_size(path) == read_image(path)[0].shape[:2]


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"text"])
def test_a_file_without_a_size_is_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(data)
    with pytest.raises(InputError, match=r"1.jpg: "):
        image_size(tmp_path / "1.jpg")
    with pytest.raises(InputError, match="Check the path"):
        image_size(tmp_path / "gone.jpg")
