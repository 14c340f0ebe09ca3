"""A calibration board in front of the camera: millimetres per pixel, and how far the camera is tilted.

ChArUco (chessboard corners named by ArUco markers), by OpenCV: corners are found to a fraction of a pixel, and a board
that is partly hidden does.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.imaging.image import Image, Source, read_image

DICTIONARY = cv2.aruco.DICT_5X5_250
MARKER_SHARE = 0.75  # of a square's side
MIN_CORNERS = 8
MAX_PX = 20_000
ASKEW = 0.02  # the scale differs by more than this over the board: measures depend on the place
INCH_MM = 25.4
DPI = 300  # of a printed board, about
WHOLE_PX = 28  # a square of a multiple of this has markers of 3/4 of it with 7 bits a side, all on whole pixels


@dataclass(frozen=True, slots=True)
class Scale:
    """What a board told: `mm_per_px` in its middle, its relative spread over the board, the error of the fit in px."""

    mm_per_px: float
    range: float
    error_px: float
    corners: int

    def to_json(self) -> dict[str, float | int | bool]:
        """Plain JSON values; `askew` where the scale differs too much over the board."""
        return {
            "mm_per_px": round(self.mm_per_px, 6),
            "range": round(self.range, 4),
            "error_px": round(self.error_px, 3),
            "corners": self.corners,
            "askew": self.range > ASKEW,
        }


def board_of(columns: int, rows: int, square_mm: float) -> cv2.aruco.CharucoBoard:
    """A board of `columns` x `rows` squares of `square_mm`. Raises InputError for one that cannot be told apart."""
    if not (3 <= columns <= 30 and 3 <= rows <= 30 and columns * rows <= 498 and square_mm > 0):
        raise InputError(f"a board of {columns} x {rows} squares cannot be made. Use 3 to 30 either way, at most 498")
    dictionary = cv2.aruco.getPredefinedDictionary(DICTIONARY)
    return cv2.aruco.CharucoBoard((columns, rows), square_mm, square_mm * MARKER_SHARE, dictionary)


def square_px(square_mm: float) -> int:
    """The side of a drawn square: whole pixels for every edge, nearest to `DPI`. A side cut to whole pixels by the
    drawing would print up to a percent too small, and every measure with it."""
    return max(WHOLE_PX, WHOLE_PX * round(square_mm / INCH_MM * DPI / WHOLE_PX))


def draw_board(columns: int, rows: int, square_mm: float) -> Image:
    """The board to print, `square_px(square_mm)` a square, with a white border of a square: (H, W, 3) uint8 RGB."""
    board = board_of(columns, rows, square_mm)
    side = square_px(square_mm)
    size = (side * (columns + 2), side * (rows + 2))
    if max(size) > MAX_PX:
        raise InputError(f"the board would have {size[0]} x {size[1]} px, {MAX_PX} are possible. Use a smaller board")
    grey = board.generateImage(size, marginSize=side)
    return np.repeat(np.asarray(grey, np.uint8)[..., None], 3, axis=2)


def measure_scale(source: Source, columns: int, rows: int, square_mm: float) -> Scale:
    """The scale of a picture of the board. Raises InputError where too little of it is seen."""
    image, _ = read_image(source)
    board = board_of(columns, rows, square_mm)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    corners, names, _, _ = cv2.aruco.CharucoDetector(board).detectBoard(grey)
    if names is None or len(names) < MIN_CORNERS:
        raise InputError(
            f"{0 if names is None else len(names)} corners of the board were found, {MIN_CORNERS} are needed. Put "
            f"the whole board of {columns} x {rows} squares into the picture, in focus and without glare"
        )
    on_board = np.asarray(board.getChessboardCorners(), np.float64)[names.ravel(), :2]
    in_image = np.asarray(corners, np.float64).reshape(-1, 2)
    found, _ = cv2.findHomography(on_board, in_image)
    if found is None:
        raise InputError("the corners that were found lie on one line. Turn the board, or show more of it")
    matrix = np.array(found, dtype=np.float64)
    scales = np.array([_mm_per_px(matrix, point) for point in on_board])
    middle = _mm_per_px(matrix, on_board.mean(axis=0))
    error = np.linalg.norm(_project(matrix, on_board) - in_image, axis=1)
    range = float((scales.max() - scales.min()) / middle)
    return Scale(middle, range, float(np.sqrt((error**2).mean())), len(names))


def _project(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    ahead = np.c_[points, np.ones(len(points))] @ matrix.T
    return np.asarray(ahead[:, :2] / ahead[:, 2:], np.float64)


def _mm_per_px(matrix: NDArray[np.float64], point: NDArray[np.float64]) -> float:
    """Root of the area in mm2 that one px2 shows, at a point of the board in mm."""
    around = point + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    origin, right, down = _project(matrix, around)
    area = abs(float(np.linalg.det(np.stack([right - origin, down - origin]))))
    return 1.0 / float(np.sqrt(area))
