"""Pixels: what sensors send, as (H, W, 3) uint8 RGB.

Names and bit orders are those of the GenICam pixel format naming convention (PFNC 2.4).
"""

from __future__ import annotations

import re

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import CameraError
from sightline.devices.cameras.source import Picture

Rgb = NDArray[np.uint8]

# OpenCV names a mosaic by the second pixels of its second row, so PFNC's RG is OpenCV's BG.
_MOSAIC = {
    "RG": cv2.COLOR_BayerBG2RGB,
    "GR": cv2.COLOR_BayerGB2RGB,
    "GB": cv2.COLOR_BayerGR2RGB,
    "BG": cv2.COLOR_BayerRG2RGB,
}
_LAYOUT = re.compile(r"(Mono|Bayer(RG|GR|GB|BG))(8|10|12|14|16)(p|Packed)?$")
_COLOURS = {"RGB8": None, "BGR8": cv2.COLOR_BGR2RGB, "RGBa8": cv2.COLOR_RGBA2RGB, "BGRa8": cv2.COLOR_BGRA2RGB}
_ALIASES = {"RGB8Packed": "RGB8", "BGR8Packed": "BGR8", "RGBA8Packed": "RGBa8", "BGRA8Packed": "BGRa8"}


def to_rgb(picture: Picture, camera: str) -> Rgb:
    """The picture as (H, W, 3) uint8 RGB; 10, 12, 14 and 16 bits are cut to the 8 highest.

    Raises CameraError: "incomplete" where bytes are missing, "unreadable" for a layout that is not known.
    """
    layout = _ALIASES.get(picture.layout, picture.layout)
    if layout in _COLOURS:
        pixels = _shaped(picture, 4 if "a" in layout else 3, camera)
        code = _COLOURS[layout]
        return pixels if code is None else np.asarray(cv2.cvtColor(pixels, code), np.uint8)
    found = _LAYOUT.match(layout)
    if found is None:
        raise CameraError(
            f"camera {camera}: pixels come as {picture.layout!r}, which is not known. "
            "Let it send Mono8, BayerRG8, RGB8 or BGR8",
            "unreadable",
        )
    grey = _grey(picture, int(found[3]), found[4] or "", camera)
    if found[2]:
        return np.asarray(cv2.cvtColor(grey, _MOSAIC[found[2]]), np.uint8)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)


def _grey(picture: Picture, bits: int, packing: str, camera: str) -> Rgb:
    if packing:
        return _unpacked(picture, bits, packing, camera)
    pixels = picture.pixels
    if bits > 8 and pixels.dtype == np.uint8 and pixels.ndim == 1 and pixels.size % 2 == 0:
        pixels = pixels.view(np.dtype("<u2"))
    shape = picture.size or tuple(pixels.shape[:2])
    if pixels.size != shape[0] * shape[-1]:
        raise _incomplete(picture, camera)
    pixels = pixels.reshape(shape)
    if bits == 8:
        return np.ascontiguousarray(pixels, np.uint8)
    return (pixels >> (bits - 8)).astype(np.uint8)


def _unpacked(picture: Picture, bits: int, packing: str, camera: str) -> Rgb:
    """Eight highest bits of each pixel of a packed 10 or 12 bit picture (H, W)."""
    if picture.size is None or picture.pixels.dtype != np.uint8 or bits not in (10, 12):
        raise CameraError(f"camera {camera}: {picture.layout} cannot be unpacked. Let it send 8 bits", "unreadable")
    count = picture.size[0] * picture.size[1]
    data = picture.pixels.reshape(-1)
    if packing == "Packed":
        # GigE Vision: two pixels in three bytes, the low bits of both in the middle one, for 10 and 12 bits alike.
        groups = -(-count // 2)
        taken, order = 3 * groups, (0, 2)
        if data.size < taken:
            raise _incomplete(picture, camera)
        return np.ascontiguousarray(data[:taken].reshape(groups, 3)[:, order]).reshape(-1)[:count].reshape(picture.size)
    per, size = (2, 3) if bits == 12 else (4, 5)
    groups = -(-count // per)
    if data.size < groups * size:
        raise _incomplete(picture, camera)
    block = data[: groups * size].reshape(groups, size).astype(np.uint16)
    # Little-endian bit stream: pixel i begins at bit i * bits; its 8 highest bits begin `bits - 8` later.
    starts = [i * bits + bits - 8 for i in range(per)]
    block = np.pad(block, ((0, 0), (0, 1)))
    high = [((block[:, s // 8] | block[:, s // 8 + 1] << 8) >> (s % 8)) & 0xFF for s in starts]
    return np.stack(high, 1).astype(np.uint8).reshape(-1)[:count].reshape(picture.size)


def _shaped(picture: Picture, channels: int, camera: str) -> Rgb:
    pixels = picture.pixels
    shape = (*(picture.size or pixels.shape[:2]), channels)
    if pixels.dtype != np.uint8 or pixels.size != int(np.prod(shape)):
        raise _incomplete(picture, camera)
    return np.ascontiguousarray(pixels.reshape(shape))


def _incomplete(picture: Picture, camera: str) -> CameraError:
    return CameraError(
        f"camera {camera}: {picture.pixels.size} values of type {picture.pixels.dtype} are no {picture.layout} "
        f"picture of {picture.size or picture.pixels.shape}. Check the network and the pixel format",
        "incomplete",
    )
