"""Small files that unpack to gigabytes, and files of several pictures, are refused before anything is decoded."""

from __future__ import annotations

import io
import resource
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from sightline.core.errors import ImageError
from sightline.imaging.decoding import SUFFIXES, UNREAD, decode, is_cut_off, read_header
from sightline.imaging.header import MAX_PIXELS

Scene = NDArray[np.uint8]
SIDE = 40_000


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(50_000_000))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _tiff(width: int = SIDE, height: int = SIDE, tile: int | None = None, bits: int = 8, samples: int = 1) -> bytes:
    strip = zlib.compress(bytes(50_000_000))
    tags = [(256, width), (257, height), (258, bits), (259, 8), (262, 1), (277, samples)]
    tags += [(273, 8), (278, height), (279, len(strip))] if tile is None else []
    tags += [(322, tile), (323, tile), (324, 8), (325, len(strip))] if tile else []
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags))
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"


def _bitmap(compression: int, side: int = SIDE) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 60, 0, 0, 54 + 1024) + head + bytes(1024) + b"\0\1" * 50


def _jpeg() -> bytes:
    data = bytearray(cv2.imencode(".jpg", np.zeros((64, 64), np.uint8))[1].tobytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", SIDE, SIDE)
    return bytes(data)


def _webp() -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\xff\0\xff\xff\0"
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


BOMBS: dict[str, Callable[[], bytes]] = {
    "png": _png,
    "tiff": _tiff,
    "tile": lambda: _tiff(200, 200, tile=SIDE),
    "bmp": lambda: _bitmap(0),
    "rle": lambda: _bitmap(1),
    "jpeg": _jpeg,
    "webp": _webp,
    "pgm": lambda: b"P5 %d %d 255\n" % (SIDE, SIDE),
    "text": lambda: b"P2 %d %d 255\n" % (SIDE, SIDE),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_picture_bomb_is_refused_and_takes_no_memory(kind: str) -> None:
    data = BOMBS[kind]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageError) as error:
        decode(data, "part")
    assert error.value.reason == "size"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB; decoded it would be 1.6 GB


def test_strips_that_hold_more_than_their_rows_are_refused() -> None:
    with pytest.raises(ImageError, match=r"more than the 40000 bytes"):
        decode(_tiff(200, 200), "part.tif")


@pytest.mark.parametrize(("bits", "samples"), [(8, 200), (64, 1)])
def test_more_channels_or_bits_than_a_picture_has_are_refused(bits: int, samples: int) -> None:
    with pytest.raises(ImageError, match="not a picture of a part"):
        decode(_tiff(200, 200, bits=bits, samples=samples), "part.tif")


def test_compressed_bmp_is_refused_with_the_remedy() -> None:
    with pytest.raises(ImageError, match=r"compressed BMP is not read\. Save it as PNG"):
        decode(_bitmap(1, 64), "part.bmp")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp", ".ppm"])
def test_the_size_is_known_before_decoding_for_all_that_is_read(suffix: str, scene: Scene) -> None:
    assert suffix in SUFFIXES
    data = cv2.imencode(suffix, scene)[1].tobytes()
    assert read_header(data, "part").size == scene.shape[:2]
    assert scene.shape[0] * scene.shape[1] < MAX_PIXELS


def test_a_large_picture_within_the_limit_is_decoded() -> None:
    wide = np.full((2_000, 20_000), 90, np.uint8)
    assert decode(cv2.imencode(".png", wide)[1].tobytes(), "part")[0].shape == (2_000, 20_000, 3)


# Several pictures in one file


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP", "MPO", "PPM"])
def test_a_file_of_several_pictures_is_refused(kind: str, scene: Scene, encode: Any) -> None:
    pictures = [Pillow.fromarray(scene), Pillow.fromarray(255 - scene), Pillow.fromarray(scene[::-1].copy())]
    if kind in ("MPO", "PPM"):
        data = b"".join(encode(np.asarray(picture), "JPEG" if kind == "MPO" else kind) for picture in pictures)
    else:
        stream = io.BytesIO()
        pictures[0].save(stream, kind, save_all=True, append_images=pictures[1:])
        data = stream.getvalue()
    with pytest.raises(ImageError, match=r"holds \d pictures.*, but only one can be inspected. Save each"):
        decode(data, "part")


def test_a_preview_is_no_second_picture(scene: Scene, encode: Any) -> None:
    photo = encode(scene, "JPEG") + encode(scene[::4, ::4].copy(), "JPEG")
    assert decode(photo, "photo.jpg")[0].shape == scene.shape
    one = io.BytesIO()
    Pillow.fromarray(scene).save(one, "PNG", save_all=True, append_images=[])
    assert np.array_equal(decode(one.getvalue(), "one.png")[0], scene)


# What is not read


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"GIF89a", "GIF has 256 colours and may be animated"),
        (b"\0\0\0\x18ftypheic", "HEIC is not read"),
        (b"\0\0\0\x18ftypavif", "AVIF is not read"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 is decoded without reporting damage"),
        (b"%PDF-1.7", "PDF is a document"),
    ],
)
def test_what_is_not_read_is_named_with_the_remedy(head: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=rf"part: not a readable image \({message}\)\. Save it as PNG"):
        decode(head + bytes(200), "part")
    assert not is_cut_off(head)


def test_no_suffix_is_both_read_and_refused() -> None:
    assert not SUFFIXES & UNREAD
    assert {".heic", ".gif", ".jp2"} <= UNREAD
