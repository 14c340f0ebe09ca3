"""Millimetres per pixel from a picture of a calibration board; the board itself, to print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sightline.core.errors import InputError
from sightline.runtime.board import draw_board, measure_scale
from sightline.runtime.inspection import Overlay


def parse_squares(text: str) -> tuple[int, int]:
    """ "8x6" -> (8, 6). Raises InputError."""
    columns, _, rows = text.lower().partition("x")
    if not (columns.isdigit() and rows.isdigit()):
        raise InputError(f"squares {text!r}: write columns x rows, for instance 8x6")
    return int(columns), int(rows)


def calibrate(image: Path, squares: str, square_mm: float) -> dict[str, Any]:
    """What a picture of the board tells."""
    return measure_scale(image, *parse_squares(squares), square_mm).to_json()


def print_board(output: Path, squares: str, square_mm: float) -> Path:
    """Write the board as a picture for printing at 300 dots per inch."""
    return Overlay(draw_board(*parse_squares(squares), square_mm)).save(output)


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
