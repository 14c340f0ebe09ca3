"""Bad image files: each is named, with what is wrong and what to do; none is half read."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from sightline.core.errors import InputError
from sightline.imaging.image import MIN_SIDE_PX, read_image

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def picture(draw: Any) -> Picture:
    return draw(0, flawed=True)[0]


def _save(picture: Picture, path: Path, **options: Any) -> Path:
    Pillow.fromarray(picture).save(path, **options)
    return path


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flip_middle(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(255 - byte for byte in data[middle : middle + 40]) + data[middle + 40 :]


BAD = {
    "empty.png": (lambda png: b"", "empty .0 bytes.. Copy or record the image again"),
    "text.png": (lambda png: b"no image here", "the file holds text.* Save it as PNG"),
    "cut.png": (_cut, "PNG file that is cut off.* Copy or record"),
    "last_byte_missing.png": (lambda png: png[:-12], "PNG file that is cut off.* Copy or record"),
    "damaged.png": (_flip_middle, "a damaged PNG file: its chunk .* does not match its checksum.* Copy or record"),
    "noise.jpg": (lambda png: np.random.default_rng(0).bytes(5000), "unknown content.* Save it as PNG"),
    "zeros.bmp": (lambda png: bytes(5000), "unknown content.* Save it as PNG"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_with_a_remedy(
    name: str, picture: Picture, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spoil, message = BAD[name]
    good = _save(picture, tmp_path / "good.png")
    path = tmp_path / name
    path.write_bytes(spoil(good.read_bytes()))
    with pytest.raises(InputError, match=message) as error:
        read_image(path)
    assert str(path) in str(error.value)
    capfd.readouterr()  # libpng's own lines, which no setting keeps from stderr


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp", ".ppm"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_cut_off_file_is_never_half_an_image(
    suffix: str, kept: float, picture: Picture, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = _save(picture, tmp_path / f"part{suffix}")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(InputError, match="not a readable image") as error:
        read_image(path)
    assert str(path) in str(error.value)
    capfd.readouterr()


def test_a_jpeg_with_a_few_bytes_after_its_end_is_read(picture: Picture, tmp_path: Path) -> None:
    path = _save(picture, tmp_path / "camera.jpg", quality=95)
    path.write_bytes(path.read_bytes() + b"serial 0815")
    assert np.abs(read_image(path)[0].astype(int) - picture).mean() < 3


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone.png: cannot be read \(No such file or directory\). Check the path"):
        read_image(tmp_path / "gone.png")


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\). Check the path") as error:
        read_image(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_a_path_that_no_system_can_have_is_refused() -> None:
    with pytest.raises(InputError, match="is not a file name"):
        read_image("part\0.png")


@pytest.mark.parametrize("size", [(1, 1), (MIN_SIDE_PX - 1, 200), (200, MIN_SIDE_PX - 1)])
def test_a_tiny_image_is_refused(size: tuple[int, int], tmp_path: Path, write: Any) -> None:
    path = write(tmp_path / "tiny.png", np.zeros((*size, 3), np.uint8))
    with pytest.raises(InputError, match=r"too small to inspect. Each side needs at least 16 px") as error:
        read_image(path)
    assert f"{path}: {size[1]} x {size[0]} px" in str(error.value)


def test_the_smallest_image_is_read() -> None:
    assert read_image(np.zeros((MIN_SIDE_PX, MIN_SIDE_PX), np.uint8))[0].shape == (16, 16, 3)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n"])
def test_bad_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="image bytes: not a readable image"):
        read_image(data)


def test_empty_bytes_are_called_empty() -> None:
    with pytest.raises(InputError, match="0 bytes"):
        read_image(b"")


def test_a_picture_with_more_pixels_than_memory_is_refused() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")
    with pytest.raises(InputError, match=r"too large to decode, .* Tile or shrink it first"):
        read_image(bomb)
