"""The still layers of the circuit board: laminate, copper, solder mask, solder and legend, no parts yet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.sample import lettering
from sightline.data.sample.board_layout import COMPONENTS, EDGE, Copper, Land, lands, route
from sightline.data.sample.drawing import Colour, Plane, Planes, averaged, column, coverage, grain, softened, unit_grid

MASK_ON_COPPER: Final[Colour] = (0.022, 0.190, 0.075)
_MASK: Final[Colour] = (0.008, 0.088, 0.038)
TIN: Final[Colour] = (0.50, 0.51, 0.50)
_GOLD: Final[Colour] = (0.62, 0.43, 0.14)
_LEGEND: Final[Colour] = (0.70, 0.72, 0.68)
_LAMINATE: Final[Colour] = (0.30, 0.27, 0.12)
_HOLES: Final = ((0.085, 0.085), (0.915, 0.915), (0.085, 0.915), (0.915, 0.085))
_FIDUCIALS: Final = ((0.155, 0.20), (0.90, 0.70), (0.265, 0.93))
_FINE_PX: Final = 1024


@dataclass(frozen=True)
class BoardLayers:
    """A bare board at the nominal pose."""

    board: Planes
    """(3, size, size), 0 off the board and in its holes."""
    keep: Plane
    """(size, size): how much of the fixture below is seen."""
    solder: Plane
    """(size, size): 1 on solder, whose glints differ from board to board."""


def build_layers(size: int) -> BoardLayers:
    """Draw at least 1024 px wide, then average down."""
    fine = size * max(2, math.ceil(_FINE_PX / size))
    pads = [pad for part in COMPONENTS for pad in lands(part)]
    solder = _pads(fine, pads)
    board = _mask(fine, route(pads), solder)
    _paint(board, _legend(fine) * (1 - _grown(solder, 0.003)), _LEGEND, 0.9)
    _metal(board, solder, TIN)
    for centre in _FIDUCIALS:
        _paint(board, _disc(fine, centre, 0.019), _LAMINATE, 0.35)
        _metal(board, _disc(fine, centre, 0.009), _GOLD)
    alpha, keep = _outline(board)
    board *= alpha
    layers = (*board, keep, solder)
    small = [averaged(layer, size) for layer in layers]
    return BoardLayers(np.stack(small[:3]), small[3], small[4])


def relief(shape: Plane, sharp: float) -> Plane:
    """How strongly the rounded edge of a raised shape (H, W) faces the light at the upper left, -1..1."""
    side = shape.shape[0]
    round_off = softened(shape, max(0.3, sharp * side))
    slope = cv2.Sobel(round_off, cv2.CV_32F, 1, 0) * 0.6 + cv2.Sobel(round_off, cv2.CV_32F, 0, 1) * 0.8
    return np.asarray(np.clip(slope / 8 * sharp * side * 2.5, -1, 1), dtype=np.float32)


def _pads(side: int, pads: list[Land]) -> Plane:
    plane = np.zeros((side, side), np.uint8)
    for pad in pads:
        if pad.owner == "J1":
            _dot(plane, (pad.x, pad.y), pad.width / 2)
            continue
        low = np.round(np.array([pad.x - pad.width / 2, pad.y - pad.height / 2]) * side).astype(int)
        high = np.round(np.array([pad.x + pad.width / 2, pad.y + pad.height / 2]) * side).astype(int)
        cv2.rectangle(plane, low.tolist(), high.tolist(), 255.0, -1)
    for centre in _HOLES:
        _dot(plane, centre, 0.034)
    return softened(coverage(plane), 0.8)


def _mask(side: int, copper: Copper, solder: Plane) -> Planes:
    """Solder mask over tracks and a ground plane that keeps its distance from them."""
    lines = np.zeros((side, side), np.uint8)
    for track in copper.tracks:
        dots = np.round(track * side * 16).astype(np.int32)
        cv2.polylines(lines, [dots], False, 255.0, max(1, round(0.0052 * side)), cv2.LINE_AA, 4)
    for via in copper.vias:
        _dot(lines, via, 0.0085)
    wires = coverage(lines)
    x, y = unit_grid(side)
    inside = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) > EDGE + 0.010
    pour = inside * (1 - _grown(np.maximum(wires, solder), 0.0055))
    sheet = np.maximum(pour.astype(np.float32), wires)
    rng = np.random.default_rng(11)
    weave = 0.05 * np.sin(x * 620) * np.sin(y * 620) * (1 - sheet)
    fine = 1 + weave + 0.02 * grain(side, side, 1.5, rng)
    board = np.asarray(column(_MASK) + sheet * (column(MASK_ON_COPPER) - column(_MASK)), dtype=np.float32)
    # Lacquer flows over the copper's edges and shines there.
    edge = relief(sheet, 0.0012)
    board *= fine * (1 + 0.45 * edge)
    board += 0.035 * np.maximum(edge, 0) ** 2
    holes = np.zeros((side, side), np.uint8)
    for via in copper.vias + copper.stitches:
        _dot(holes, via, 0.0038)
    _paint(board, coverage(holes), (0.004, 0.020, 0.010), 0.9)
    return board


def _metal(board: Planes, shape: Plane, colour: Colour) -> None:
    """A rounded metal surface: bright towards the light, dark away from it."""
    edge = relief(shape, 0.0035)
    lit = np.clip(0.72 + 0.75 * edge, 0.12, 1.6)
    board += shape * (column(colour) * lit - board)


def _legend(side: int) -> Plane:
    """White silk-screen: outlines, names, pin-1 dots, the maker's line."""
    plane = np.zeros((side, side), np.float32)
    for part in COMPONENTS:
        boxes = [(pad.x, pad.y, pad.width / 2, pad.height / 2) for pad in lands(part)]
        left, right = min(x - w for x, _, w, _ in boxes), max(x + w for x, _, w, _ in boxes)
        top, bottom = min(y - h for _, y, _, h in boxes), max(y + h for _, y, _, h in boxes)
        gap = 0.006
        if part.package == "electrolytic":
            left, right, top, bottom = part.x - 0.05, part.x + 0.05, part.y - 0.05, part.y + 0.05
        if part.package in (
            "resistor",
            "capacitor",
            "diode",
            "tantalum",
            "electrolytic",
            "header",
            "inductor",
        ):
            corners = np.array([[left - gap, top - gap], [right + gap, bottom + gap]]) * side * 16
            low, high = np.round(corners).astype(int).tolist()
            cv2.rectangle(plane, low, high, 1.0, max(1, round(0.0024 * side)), cv2.LINE_8, 4)
        tall = part.package in ("resistor", "capacitor") and part.turn % 2 == 1
        centre = (part.x, bottom + 0.020) if tall else (part.x, top - 0.020)
        if part.package == "qfp":
            centre = (left + 0.012, top + 0.004)
        if part.package in ("resistor", "capacitor") and not tall:
            centre = (right + 0.026, part.y)
        lettering.straight(plane, part.name, centre, 0.0135)
    lettering.straight(plane, "SIGHTLINE", (0.665, 0.925), 0.024)
    lettering.straight(plane, "SL-2 REV C", (0.42, 0.935), 0.014)
    return plane


def _outline(board: Planes) -> tuple[Plane, Plane]:
    """Coverage of the board, and the light of the fixture that reaches past it and through its holes."""
    side = board.shape[-1]
    x, y = unit_grid(side)
    inset = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) - EDGE
    rim = np.clip(1 - np.abs(inset - 0.0015) / 0.0015, 0, 1).astype(np.float32)
    _paint(board, rim, _LAMINATE, 0.7)
    alpha = np.clip(inset * side + 0.5, 0, 1).astype(np.float32)
    for centre in _HOLES:
        alpha *= 1 - _disc(side, centre, 0.024)
    shade = np.zeros_like(alpha)
    move = round(0.009 * side)
    shade[move:, move:] = alpha[: side - move, : side - move]
    shade = softened(shade, 0.006 * side)
    return alpha, np.asarray((1 - alpha) * (1 - 0.75 * shade), dtype=np.float32)


def _grown(shape: Plane, reach: float) -> Plane:
    px = max(1, round(reach * shape.shape[0]))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * px + 1, 2 * px + 1))
    grown = cv2.dilate((shape * 255).astype(np.uint8), disc)
    return coverage(np.asarray(grown, dtype=np.uint8))


def _paint(board: Planes, shape: Plane, colour: Colour, opacity: float) -> None:
    board += opacity * shape * (column(colour) - board)


def _disc(side: int, centre: tuple[float, float], radius: float) -> Plane:
    plane = np.zeros((side, side), np.uint8)
    _dot(plane, centre, radius)
    return coverage(plane)


def _dot(plane: NDArray[np.uint8], centre: tuple[float, float], radius: float) -> None:
    side = plane.shape[0]
    x, y = (round(value * side * 16) for value in centre)
    cv2.circle(plane, (x, y), round(radius * side * 16), 255.0, -1, cv2.LINE_AA, 4)
