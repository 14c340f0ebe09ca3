"""A printed marker beside or on a part: where the part lies, and how large it is, from the marker's four corners.

Markers are those of OpenCV's dictionary DICT_4X4_50 (S. Garrido-Jurado et al., "Automatic generation and detection of
highly reliable fiducial markers under occlusion", Pattern Recognition 47 (2014) 2280-2292). Part and marker lie in one
plane, so that a homography takes millimetres to pixels; what stands above that plane is off by the parallax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.imaging.image import Image
from sightline.runtime.drawing import width_of, write

MARKERS, CELLS = 50, 6  # in the dictionary; cells on a side, the black border among them
SHORTEST_MM, LONGEST_MM = 4.0, 500.0
REACH = 20.0  # times the marker's side that a part may be away: beyond, its corners' errors grow too large
DPI, INCH_MM, MOST_PX = 300, 25.4, 8000
MARGIN_CELLS = 2  # of white around the marker; it is not found without
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Marker:
    """Marker `number` of `size_mm` a side, and where a part lies beside it: the centre of the part's box in mm from the
    marker's centre (x to its right, y down), its width and height in mm, and how far it is turned, clockwise.
    """

    number: int
    size_mm: float
    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float
    turn_deg: float = 0.0

    def __post_init__(self) -> None:
        check_marker(self.number, self.size_mm)
        sides = self.width_mm, self.height_mm
        numbers = (*sides, self.x_mm, self.y_mm, self.turn_deg)
        if not (np.isfinite(numbers).all() and min(sides) > 0 and max(sides) <= REACH * self.size_mm):
            raise InputError(f"a part of {sides[0]:g} x {sides[1]:g} mm cannot be found by this marker. Learn it anew")
        if max(abs(self.x_mm), abs(self.y_mm)) > REACH * self.size_mm:
            raise InputError(
                f"the part lies more than {REACH:g} times the marker's side away. Put the marker beside it"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `str(marker)`: number, side, x, y, width, height and turn with commas between. Raises InputError."""
        try:
            number, *more = text.split(",")
            size, x, y, wide, high, turn = map(float, more)
            return cls(int(number), size, x, y, wide, high, turn)
        except ValueError as error:
            raise InputError(f"'{text[:80]}' is no marker. Give number,side,x,y,width,height,turn in mm") from error

    def __str__(self) -> str:
        mm = self.size_mm, self.x_mm, self.y_mm, self.width_mm, self.height_mm, self.turn_deg
        return ",".join([str(self.number), *(f"{value:.6g}" for value in mm)])

    def onto_marker(self) -> Matrix:
        """Takes mm from the part's centre, along its sides, to mm from the marker's centre: (3, 3)."""
        turn = np.deg2rad(self.turn_deg)
        return np.array(
            [[np.cos(turn), -np.sin(turn), self.x_mm], [np.sin(turn), np.cos(turn), self.y_mm], [0.0, 0.0, 1.0]]
        )


def check_marker(number: int, size_mm: float) -> None:
    """Raises InputError for a marker that there is not."""
    if not (0 <= number < MARKERS and SHORTEST_MM <= size_mm <= LONGEST_MM):
        told = f"marker {number} of {size_mm:g} mm cannot be had"
        raise InputError(f"{told}. Use a number below {MARKERS} and {SHORTEST_MM:g} to {LONGEST_MM:g} mm")


def find_markers(image: Image) -> dict[int, list[Matrix]]:
    """The markers in an image (H, W, 3) uint8 RGB by number: corners (4, 2) px of each, from its own upper left
    clockwise. One that is seen in a mirror is none.
    """
    options = cv2.aruco.DetectorParameters()
    options.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    known = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    corners, names, _ = cv2.aruco.ArucoDetector(known, options).detectMarkers(grey)
    found: dict[int, list[Matrix]] = {}
    for name, four in zip([] if names is None else names.ravel(), corners, strict=True):
        found.setdefault(int(name), []).append(np.asarray(four, np.float64).reshape(4, 2))
    return found


def onto_image(corners: Matrix, size_mm: float) -> Matrix:
    """The homography (3, 3) that takes mm from the marker's centre to px, of its corners (4, 2) px."""
    half = size_mm / 2
    square = np.array([(-half, -half), (half, -half), (half, half), (-half, half)], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(square, corners.astype(np.float32)), np.float64)


def project(matrix: Matrix, points: NDArray[np.generic]) -> Matrix:
    """Points (K, 2) through a homography."""
    ahead = np.c_[np.asarray(points, np.float64), np.ones(len(points))] @ matrix.T
    return np.asarray(ahead[:, :2] / ahead[:, 2:], np.float64)


def slope(matrix: Matrix, point: tuple[float, float]) -> Matrix:
    """Px for each mm (2, 2) at a point of the plane: columns are steps in x and in y."""
    x, y = point
    here, right, down = project(matrix, np.array([(x, y), (x + 1, y), (x, y + 1)]))
    return np.stack([right - here, down - here], axis=1)


def sheet_of(size_mm: float) -> Matrix:
    """The corners (4, 2) of a marker's sheet, as `draw_marker` draws it, in mm from the marker's centre."""
    half, margin = size_mm / 2, size_mm / CELLS * MARGIN_CELLS
    side, below = half + margin, half + 2 * margin
    return np.array([(-side, -side), (side, -side), (side, below), (-side, below)])


def draw_marker(number: int, size_mm: float) -> tuple[Image, float]:
    """A sheet with the marker to print, (H, W, 3) uint8 RGB, and its px for each mm. Every cell has whole pixels, its
    number and side stand below it. Raises InputError.
    """
    check_marker(number, size_mm)
    cell = max(4, round(min(size_mm / INCH_MM * DPI, MOST_PX / 2) / CELLS))
    side, margin = cell * CELLS, cell * MARGIN_CELLS
    known = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    drawn = cv2.aruco.generateImageMarker(known, number, side)
    sheet = np.full((side + 2 * margin + 2 * cell, side + 2 * margin, 3), 255, np.uint8)
    sheet[margin : margin + side, margin : margin + side] = np.asarray(drawn, np.uint8)[..., None]
    text, size = f"{number}: {size_mm:g} mm", max(8, round(0.8 * cell))
    at = (sheet.shape[1] - width_of(text, size)) // 2, side + 2 * margin + cell
    write(sheet, text, (max(0, at[0]), at[1]), size, (0, 0, 0))
    return sheet, side / size_mm
