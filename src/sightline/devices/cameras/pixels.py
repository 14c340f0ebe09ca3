"""Pixels: what sensors and image files hold, as (H, W, 3) RGB, and the view that is taken of it.

Names and bit orders are those of the GenICam pixel format naming convention (PFNC 2.4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import CameraError, ImageError, InputError
from sightline.devices.cameras.settings import CameraSettings
from sightline.devices.cameras.source import RawImage
from sightline.imaging.decoding import decode
from sightline.imaging.image import shaped

Rgb = NDArray[np.uint8] | NDArray[np.uint16]

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
_TURN = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
_FLIP = {"horizontal": 1, "vertical": 0}


def to_rgb(picture: RawImage, camera: str) -> Rgb:
    """The picture as (H, W, 3) uint8 RGB; 10, 12, 14 and 16 bits are cut to the 8 highest.

    RGB16, which files of 16 bits come as, stays uint16: the recipe knows which value is white.

    Raises CameraError: "incomplete" where bytes are missing, "unreadable" for a layout that is not known.
    """
    layout = _ALIASES.get(picture.layout, picture.layout)
    if layout in _COLOURS:
        pixels = _shaped(picture, 4 if "a" in layout else 3, camera)
        code = _COLOURS[layout]
        return pixels if code is None else np.asarray(cv2.cvtColor(pixels, code), np.uint8)
    if layout == "RGB16":
        deep: NDArray[np.uint16] = _shaped(picture, 3, camera, np.uint16)
        return deep
    found = _LAYOUT.match(layout)
    if found is None:
        raise CameraError(
            f"camera {camera}: pixels come as {picture.layout!r}, which is not known. "
            "Set it to Mono8, BayerRG8, RGB8 or BGR8",
            "unreadable",
        )
    grey = _grey(picture, int(found[3]), found[4] or "", camera)
    if found[2]:
        return np.asarray(cv2.cvtColor(grey, _MOSAIC[found[2]]), np.uint8)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)


def _grey(picture: RawImage, bits: int, packing: str, camera: str) -> Rgb:
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


def _unpacked(picture: RawImage, bits: int, packing: str, camera: str) -> Rgb:
    """Eight highest bits of each pixel of a packed 10 or 12 bit picture (H, W)."""
    if picture.size is None or picture.pixels.dtype != np.uint8 or bits not in (10, 12):
        raise CameraError(f"camera {camera}: {picture.layout} cannot be unpacked. Set it to 8 bits", "unreadable")
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


def _shaped(picture: RawImage, channels: int, camera: str, depth: type = np.uint8) -> Any:
    pixels = picture.pixels
    shape = (*(picture.size or pixels.shape[:2]), channels)
    if pixels.dtype != depth or pixels.size != int(np.prod(shape)):
        raise _incomplete(picture, camera)
    return np.ascontiguousarray(pixels.reshape(shape))


def _incomplete(picture: RawImage, camera: str) -> CameraError:
    return CameraError(
        f"camera {camera}: {picture.pixels.size} values of type {picture.pixels.dtype} do not form a {picture.layout} "
        f"picture of {picture.size or picture.pixels.shape}. Check the network and the pixel format",
        "incomplete",
    )


def take_view(image: Rgb, settings: CameraSettings) -> Rgb:
    """The region of interest of (H, W, 3), turned, then mirrored. Raises CameraError where the region lies outside."""
    roi = settings.roi
    if roi is not None:
        height, width = image.shape[:2]
        if roi.x_px + roi.width_px > width or roi.y_px + roi.height_px > height:
            raise CameraError(
                f"camera {settings.name}: the region of interest reaches beyond the picture of {width} x {height} px. "
                "Make it smaller",
                "size",
            )
        image = image[roi.y_px : roi.y_px + roi.height_px, roi.x_px : roi.x_px + roi.width_px]
    if settings.rotate_deg:
        image = cast(Rgb, cv2.rotate(image, _TURN[settings.rotate_deg]))
    if settings.flip != "none":
        image = cast(Rgb, cv2.flip(image, _FLIP[settings.flip]))
    return cast(Rgb, np.ascontiguousarray(image))


def read_picture(data: bytes, name: str, told: Mapping[str, float | str]) -> RawImage:
    """The picture in a file's bytes, with `told` as its metadata.

    16 bits stay as they are: the recipe knows which value is white. Raises CameraError: "incomplete" where the end is
    missing, "size" where it is too large, "unreadable" for what is not a picture, is damaged, or holds several.
    """
    try:
        pixels, header = decode(data, name)
        image, _ = shaped(pixels, name, header.full_scale, keep_16_bit=header.full_scale is None)
    except ImageError as error:
        raise CameraError(str(error), error.reason) from error
    except InputError as error:
        raise CameraError(str(error), "unreadable") from error
    return RawImage(pixels=image, layout="RGB8" if image.dtype == np.uint8 else "RGB16", metadata=told)
