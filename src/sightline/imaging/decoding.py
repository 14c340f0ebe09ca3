"""Decoding: bytes of an image file as pixels, whole or not at all. The one decoder of lab, line and store."""

from __future__ import annotations

import struct
from collections.abc import Callable
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import ImageError, InputError
from sightline.imaging import anymap, bitmap, jpeg, png, tiff, webp
from sightline.imaging.header import Bytes, Header, cut_off, damaged

Pixels = NDArray[Any]

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm", ".pnm")
)
# Known pictures that are refused: whoever lists a folder names them instead of passing over them.
UNREAD = frozenset(
    (".heic", ".heif", ".avif", ".gif", ".jp2", ".j2k", ".jxl", ".exr", ".hdr", ".mpo", ".pam", ".pfm", ".ras", ".pdf")
)
READ = "PNG, JPEG, BMP, TIFF, WebP or PGM/PPM"
_HEAD = 64
# What decoders could read, and why it is not: each with its first bytes.
_REFUSED = {
    b"GIF8": "GIF has 256 colours and may be animated",
    b"\0\0\0\x0cjP  ": "JPEG 2000 is decoded without reporting damage",
    b"\xff\x4f\xff\x51": "JPEG 2000 is decoded without reporting damage",
    b"\x76\x2f\x31\x01": "OpenEXR is not read",
    b"#?RADIANCE": "Radiance HDR is not read",
    b"\0\0\0\x0cJXL ": "JPEG XL is not read",
    b"\xff\x0a": "JPEG XL is not read",
    b"%PDF": "PDF is a document",
}
_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
# Orientation is applied here, alpha dropped, grey and palette expanded, bit depth kept. In BGR order: with
# IMREAD_COLOR_RGB, OpenCV 5.0 leaves a 16-bit TIFF undecoded and says nothing.
_COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
# Decoding errors are raised as ImageError; OpenCV's own lines on stderr would only repeat them.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def kind_of(head: bytes) -> str | None:
    """Media type by the first 64 bytes; None where it is no format that is read."""
    tests = (jpeg.is_jpeg, png.is_png, tiff.is_tiff, webp.is_webp, bitmap.is_bitmap, anymap.is_anymap)
    modules = (jpeg, png, tiff, webp, bitmap, anymap)
    return next((module.KIND for test, module in zip(tests, modules, strict=True) if test(head)), None)


def read_header(data: Bytes, name: str) -> Header:
    """Kind, size and form of an image file. Raises ImageError with the remedy for what is not read or no image."""
    kind = kind_of(bytes(data[:_HEAD]))
    if kind is None:
        raise ImageError(f"{name}: not a readable image ({_guess(bytes(data[:_HEAD]))}). Save it as {READ}")
    readers: dict[str, Callable[[Bytes], Header]] = {
        m.KIND: m.read_header for m in (jpeg, png, tiff, webp, bitmap, anymap)
    }
    try:
        return readers[kind](data)
    except (struct.error, ValueError, KeyError, IndexError, StopIteration) as error:
        if is_cut_off(data):
            raise cut_off(name, kind) from error
        raise damaged(name, kind, f"no header that can be read: {error}") from error


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) in px as `decode` gives the image, from its header alone. Raises ImageError, InputError."""
    header = header_of(path)
    header.check(str(path))
    return header.size


def header_of(path: str | Path) -> Header:
    """`read_header` of a file, of which no more is read than that takes. Raises ImageError, InputError."""
    try:
        with Path(path).open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return read_header(data, str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions") from error
    except ValueError as error:  # what mmap says of an empty file
        raise ImageError(
            f"{path}: the file is empty (0 bytes). Copy or record the image again", "incomplete"
        ) from error


def is_cut_off(data: Bytes) -> bool:
    """Whether the end of an image file is missing, so that it may still be being written. False for other content."""
    kind = kind_of(bytes(data[:_HEAD]))
    try:
        if kind == jpeg.KIND:
            return jpeg.ends_at(data) is None
        if kind == bitmap.KIND:
            return bitmap.is_cut_off(data, bitmap.read_header(data))
        others = {m.KIND: m.is_cut_off for m in (png, tiff, webp, anymap)}
        return kind in others and others[kind](data)
    except (struct.error, ValueError, IndexError):
        return True


def decode(data: bytes, name: str, flags: int = _COLOUR) -> tuple[Pixels, Header]:
    """Pixels (H, W, C) as they are shown, in RGB order, and what the header said.

    C is 3, or 1 where the file has one channel of a depth that OpenCV does not expand; the values are uint8, uint16 or
    float32 as stored. `flags` are OpenCV's, for whoever wants a mask's alpha channel (IMREAD_UNCHANGED).
    Raises ImageError: "incomplete" where the end is missing, "size" where it is too large, "unreadable" for what is no
    image, holds several, or made its decoder complain.
    """
    header = read_header(data, name)
    header.check(name)
    if header.kind == jpeg.KIND:
        pages = jpeg.count_pages(data)
        if pages > 1:
            raise ImageError(
                f"{name}: holds {pages} pictures (MPO), but only one can be inspected. Save each as its own file"
            )
        pixels: Pixels = jpeg.decode(data, header, name)
    elif header.kind == anymap.KIND:
        pixels = anymap.decode(data, name)
    else:
        pixels = _by_opencv(data, header, name, flags)
    if header.kind != tiff.KIND:  # OpenCV turns TIFF whatever the flags say
        pixels = upright(pixels, header.turn)
    return np.ascontiguousarray(pixels), header


def upright(pixels: Pixels, turn: int) -> Pixels:
    """Pixels (H, W, ...) turned as an EXIF orientation (1 to 8) asks for."""
    if turn >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if turn in (2, 3, 6, 7) else pixels


def _check(data: bytes, header: Header, name: str) -> None:
    """Prove the data whole as far as OpenCV does not. Raises ImageError."""
    try:
        if header.kind == png.KIND:
            png.check(data, name)
        elif header.kind == tiff.KIND:
            tiff.check(data, header, name)
        elif header.kind == bitmap.KIND:
            bitmap.check(data, header, name)
        elif webp.is_cut_off(data):
            raise cut_off(name, header.kind)
    except (struct.error, ValueError, KeyError, IndexError, StopIteration) as error:
        raise damaged(name, header.kind, f"entries that cannot be read: {error}") from error


def _by_opencv(data: bytes, header: Header, name: str, flags: int) -> Pixels:
    _check(data, header, name)
    buffer = np.frombuffer(data, np.uint8)
    pixels = _imdecode(buffer, flags)
    if pixels is None and flags == _COLOUR:
        pixels = _imdecode(buffer, cv2.IMREAD_UNCHANGED)  # a one-channel float TIFF is not expanded by OpenCV
    if pixels is None:
        raise damaged(name, header.kind, "its decoder rejects it")
    if pixels.ndim == 2:
        return pixels[..., None]
    code = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}[pixels.shape[2]]
    return np.asarray(cv2.cvtColor(pixels, code, dst=pixels) if pixels.dtype != np.float64 else pixels[..., ::-1])


def _imdecode(buffer: NDArray[np.uint8], flags: int) -> Pixels | None:
    try:
        return cv2.imdecode(buffer, flags)
    except cv2.error:
        return None


def _guess(head: bytes) -> str:
    if not head:
        return "0 bytes"
    if head[4:8] == b"ftyp":
        kind = "AVIF" if head[8:11] == b"avi" else "HEIC" if head[8:12] in _BRANDS else "a film"
        return f"{kind} is not read"
    reason = next((why for magic, why in _REFUSED.items() if head.startswith(magic)), None)
    if reason is not None:
        return reason
    return "the file holds text" if head.isascii() and b"\0" not in head else "unknown content"
