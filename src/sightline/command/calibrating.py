"""Millimetres per pixel from a picture of a calibration board; the board itself, to print."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

from sightline.core.errors import InputError
from sightline.runtime.board import draw_board, measure_scale, square_px
from sightline.runtime.inspection import Overlay

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def parse_squares(text: str) -> tuple[int, int]:
    """ "8x6" -> (8, 6). Raises InputError."""
    columns, _, rows = text.lower().partition("x")
    if not (columns.isdigit() and rows.isdigit()):
        raise InputError(f"squares {text!r}: write columns x rows, for instance 8x6")
    return int(columns), int(rows)


def calibrate(image: Path, squares: str, square_mm: float) -> dict[str, Any]:
    """What a picture of the board tells."""
    return measure_scale(image, *parse_squares(squares), square_mm).to_json()


def print_board(output: Path, squares: str, square_mm: float) -> str:
    """Write the board as a PNG that knows its size in print; what to do with it, for people. Raises InputError."""
    if output.suffix.lower() != ".png":
        raise InputError(f"{output}: the board is written as PNG, which knows its size in print. Use a name with .png")
    columns, rows = parse_squares(squares)
    Overlay(draw_board(columns, rows, square_mm)).save(output)
    _set_resolution(output, square_px(square_mm) / square_mm * 1000)
    wide, high = (columns + 2) * square_mm, (rows + 2) * square_mm
    return f"{output}: print it unscaled ({wide:g} x {high:g} mm), and check one square: {square_mm:g} mm"


def _set_resolution(png: Path, px_per_m: float) -> None:
    """Put a pHYs chunk behind the header (PNG specification, 11.3.5.3), so that 100 % in print is true to scale."""
    data = png.read_bytes()
    chunk = b"pHYs" + struct.pack(">IIB", round(px_per_m), round(px_per_m), 1)
    head = len(PNG_SIGNATURE) + 25  # the header chunk always has 25 bytes
    framed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    png.write_bytes(data[:head] + framed + data[head:])


def describe(figures: dict[str, Any]) -> str:
    """The figures for people."""
    scale, corners, error_px = figures["mm_per_px"], figures["corners"], figures["error_px"]
    lines = [f"{scale:.5f} mm per px, from {corners} corners ({error_px:.2f} px error)"]
    if figures["askew"]:
        lines.append(
            f"The scale differs by {figures['spread']:.1%} over the board: the camera stands askew, so measures depend "
            "on the place. Straighten it and calibrate again"
        )
    lines.append(f"Put it into the station's view (mm_per_px = {scale}), or train with --set mm_per_px={scale}")
    return "\n".join(lines)
