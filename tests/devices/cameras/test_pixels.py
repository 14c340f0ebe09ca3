"""Pixels: every layout ends as the same RGB picture; missing bytes are no picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sightline.core.errors import CameraError
from sightline.devices.cameras.pixels import to_rgb
from sightline.devices.cameras.source import RawImage

RAMP = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32)


def mosaic(pattern, colour=(200, 120, 40)):
    raw = np.zeros((24, 32), np.uint8)
    for at, letter in enumerate({"RG": "RGGB", "GR": "GRBG", "GB": "GBRG", "BG": "BGGR"}[pattern]):
        raw[at // 2 :: 2, at % 2 :: 2] = colour["RGB".index(letter)]
    return raw


def pack(values, bits):
    """A little-endian bit stream, as PFNC's 'p' formats."""
    stream = 0
    for i, value in enumerate(values.reshape(-1)):
        stream |= int(value) << (i * bits)
    return np.frombuffer(stream.to_bytes(-(-values.size * bits // 8), "little"), np.uint8)


@pytest.mark.parametrize("pattern", ["RG", "GR", "GB", "BG"])
def test_a_mosaic_gives_its_colour(pattern):
    rgb = to_rgb(RawImage(pixels=mosaic(pattern), layout=f"Bayer{pattern}8"), "c")
    assert np.array_equal(rgb[4:-4, 4:-4], np.full((16, 24, 3), (200, 120, 40), np.uint8))


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_pixels_keep_their_highest_bits(bits):
    values = (RAMP * 7 % (1 << bits)).astype(np.uint16)
    high = (values >> (bits - 8)).astype(np.uint8)
    plain = to_rgb(RawImage(pixels=values, layout=f"Mono{bits}"), "c")
    packed = to_rgb(RawImage(pixels=pack(values, bits), layout=f"Mono{bits}p", size=values.shape), "c")
    as_bytes = to_rgb(RawImage(pixels=values.view(np.uint8).reshape(-1), layout=f"Mono{bits}", size=values.shape), "c")
    for rgb in (plain, packed, as_bytes):
        assert np.array_equal(rgb, np.repeat(high[..., None], 3, 2))


def test_twelve_packed_bits_of_gige_vision():
    values = (RAMP * 5 % 4096).astype(np.uint16).reshape(-1, 2)
    low = (values[:, 0] & 0xF) | ((values[:, 1] & 0xF) << 4)
    data = np.stack([values[:, 0] >> 4, low, values[:, 1] >> 4], 1).astype(np.uint8).reshape(-1)
    rgb = to_rgb(RawImage(pixels=data, layout="Mono12Packed", size=RAMP.shape), "c")
    assert np.array_equal(rgb[..., 1], (values.reshape(RAMP.shape) >> 4).astype(np.uint8))


def test_a_packed_mosaic_is_unpacked_first():
    values = mosaic("RG").astype(np.uint16) << 4
    rgb = to_rgb(RawImage(pixels=pack(values, 12), layout="BayerRG12p", size=values.shape), "c")
    assert np.array_equal(rgb[10, 10], (200, 120, 40))


@pytest.mark.parametrize("layout", ["BGR8", "BGR8Packed", "BGRa8"])
def test_channels_are_put_in_order(layout):
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    sent = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA) if "a8" in layout else rgb[..., ::-1]
    assert np.array_equal(to_rgb(RawImage(pixels=np.ascontiguousarray(sent), layout=layout), "c"), rgb)


@pytest.mark.parametrize("layout", ["Mono8", "Mono12", "Mono10p", "Mono12p", "Mono12Packed", "BayerRG8", "RGB8"])
def test_missing_bytes_are_no_picture(layout):
    with pytest.raises(CameraError) as caught:
        to_rgb(RawImage(pixels=np.zeros(50, np.uint8), layout=layout, size=(24, 32)), "c")
    assert caught.value.reason == "incomplete"


def test_an_unknown_layout_is_named():
    with pytest.raises(CameraError, match="YUV422") as caught:
        to_rgb(RawImage(pixels=np.zeros((4, 4), np.uint8), layout="YUV422"), "c")
    assert caught.value.reason == "unreadable"
