"""The circuit board's layout: which parts sit where, their land patterns, and the copper between them.

The tracks are really routed, on a grid of half the finest pitch, because the eye notices at once when
copper crosses or ends nowhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.sample.drawing import Points

EDGE: Final = 0.035
"""Margin between image and board edge, fraction of the side."""
PITCH: Final = 0.0185
"""Lead pitch of the integrated circuits."""
_GRID: Final = PITCH / 2
_CELLS: Final = int((1 - 2 * EDGE) / _GRID) + 1


@dataclass(frozen=True)
class Component:
    """One placed part; positions in fractions of the side, turns in quarters anticlockwise."""

    name: str
    package: str
    x: float
    y: float
    turn: int = 0
    value: str = ""


@dataclass(frozen=True)
class Land:
    """One solder pad: centre and extent on the board."""

    owner: str
    x: float
    y: float
    width: float
    height: float


COMPONENTS: Final[tuple[Component, ...]] = (
    Component("U1", "qfp", 0.42, 0.50, 0, "SL32F\n4107\n2619 A"),
    Component("U2", "soic", 0.755, 0.655, 0, "25Q64"),
    Component("U3", "soic", 0.175, 0.80, 1, "3232"),
    Component("Q1", "sot", 0.60, 0.845, 0, "A6"),
    Component("Q2", "sot", 0.70, 0.845, 0, "A6"),
    Component("Y1", "crystal", 0.42, 0.735, 0, "16.000"),
    Component("L1", "inductor", 0.845, 0.428, 0, "4R7"),
    Component("C1", "electrolytic", 0.835, 0.180, 0, "100\n16V"),
    Component("C2", "electrolytic", 0.835, 0.290, 0, "100\n16V"),
    Component("C3", "tantalum", 0.165, 0.335, 1, "106"),
    Component("C4", "tantalum", 0.245, 0.335, 1, "106"),
    Component("D1", "diode", 0.715, 0.205, 1, "S4"),
    Component("D2", "diode", 0.645, 0.205, 1, "S4"),
    Component("D3", "diode", 0.84, 0.80, 0, "S4"),
    Component("J1", "header", 0.375, 0.115, 0),
    Component("R1", "resistor", 0.135, 0.495, 0, "103"),
    Component("R2", "resistor", 0.135, 0.545, 0, "103"),
    Component("R3", "resistor", 0.135, 0.595, 0, "472"),
    Component("R4", "resistor", 0.135, 0.645, 0, "472"),
    Component("R5", "resistor", 0.34, 0.235, 1, "220"),
    Component("R6", "resistor", 0.39, 0.235, 1, "220"),
    Component("R7", "resistor", 0.44, 0.235, 1, "101"),
    Component("R8", "resistor", 0.49, 0.235, 1, "101"),
    Component("R9", "resistor", 0.62, 0.42, 1, "512"),
    Component("R10", "resistor", 0.67, 0.42, 1, "512"),
    Component("R11", "resistor", 0.35, 0.87, 0, "000"),
    Component("R12", "resistor", 0.35, 0.825, 0, "331"),
    Component("C5", "capacitor", 0.31, 0.665, 1),
    Component("C6", "capacitor", 0.53, 0.735, 1),
    Component("C7", "capacitor", 0.585, 0.555, 1),
    Component("C8", "capacitor", 0.265, 0.44, 1),
    Component("C9", "capacitor", 0.56, 0.325, 0),
    Component("C10", "capacitor", 0.74, 0.53, 0),
    Component("C11", "capacitor", 0.74, 0.305, 0),
    Component("C12", "capacitor", 0.47, 0.87, 0),
    Component("C13", "capacitor", 0.47, 0.825, 0),
    Component("C14", "capacitor", 0.265, 0.53, 1),
)

_PAIRS: Final = {
    "resistor": (0.0185, 0.015, 0.022), "capacitor": (0.0185, 0.015, 0.022), "diode": (0.027, 0.017, 0.022),
    "tantalum": (0.034, 0.020, 0.028), "crystal": (0.043, 0.022, 0.034), "inductor": (0.036, 0.018, 0.050),
    "electrolytic": (0.043, 0.026, 0.020),
}  # fmt: skip
"""Two-pad packages: half distance, pad width, pad height."""


def lands(part: Component) -> list[Land]:
    """The pads of one component, turned into place."""
    pads: list[tuple[float, float, float, float]] = []
    if part.package in _PAIRS:
        reach, width, height = _PAIRS[part.package]
        pads = [(side * reach, 0.0, width, height) for side in (-1, 1)]
    elif part.package == "soic":
        pads = [(s * 0.046, (i - 1.5) * PITCH, 0.022, 0.0105) for s in (-1, 1) for i in range(4)]
    elif part.package == "qfp":
        row = [(i - 3.5) * PITCH for i in range(8)]
        pads = [(s * 0.0945, y, 0.023, 0.0100) for s in (-1, 1) for y in row]
        pads += [(x, s * 0.0945, 0.0100, 0.023) for s in (-1, 1) for x in row]
    elif part.package == "sot":
        pads = [(-PITCH, 0.021, 0.013, 0.016), (PITCH, 0.021, 0.013, 0.016), (0, -0.021, 0.013, 0.016)]
    elif part.package == "header":
        pads = [((i - 3.5) * 2 * PITCH, 0.0, 0.024, 0.024) for i in range(8)]
    return [_turned(part, pad) for pad in pads]


def _turned(part: Component, pad: tuple[float, float, float, float]) -> Land:
    x, y, width, height = pad
    for _ in range(part.turn % 4):
        x, y, width, height = y, -x, height, width
    return Land(part.name, part.x + x, part.y + y, width, height)


@dataclass(frozen=True)
class Copper:
    """What is etched and drilled: tracks as polylines (n, 2), vias that end tracks, vias into the ground."""

    tracks: list[Points]
    vias: list[tuple[float, float]]
    stitches: list[tuple[float, float]]


def route(pads: list[Land]) -> Copper:
    """Connect each pad with a neighbour of another part where there is room, or else with a via."""
    router = _Router(pads)
    open_pads = set(range(len(pads)))
    for first in range(len(pads)):
        partners = sorted(open_pads - {first}, key=lambda other: _distance(pads[first], pads[other]))
        partners = [other for other in partners if pads[other].owner != pads[first].owner][:7]
        if first not in open_pads:
            continue
        for second in partners:
            if router.connect(pads[first], pads[second]):
                open_pads -= {first, second}
                break
    vias = []
    for rest in sorted(open_pads):
        end = router.escape(pads[rest])
        if end is not None:
            vias.append(end)
    return Copper(router.tracks, vias, router.stitches(36))


def _distance(one: Land, other: Land) -> float:
    return math.hypot(one.x - other.x, one.y - other.y)


_KERNEL: Final = np.ones((3, 3), np.uint8)
_STEPS: Final = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))


class _Router:
    """A wavefront maze router in king's moves: straight and 45 degree tracks that never touch."""

    def __init__(self, pads: list[Land]) -> None:
        self.tracks: list[Points] = []
        self._blocked = np.zeros((_CELLS, _CELLS), np.uint8)
        self._blocked[[0, 1, -2, -1]] = 1
        self._blocked[:, [0, 1, -2, -1]] = 1
        for pad in pads:
            self._cover(self._blocked, pad, 1, margin=0.006)

    def connect(self, start: Land, goal: Land) -> bool:
        """Lay a track between two pads if there is room within a sensible length."""
        free = self._free(start, goal)
        return self._lay(start, free, self._cell(goal), (goal.x, goal.y), 60)

    def escape(self, start: Land) -> tuple[float, float] | None:
        """Lay a short track to a via on free ground; its place, or None where there is no room."""
        free = self._free(start)
        roomy = cv2.erode(free, _KERNEL)
        steps = _wave(free, self._cell(start), 15)
        free_cells = np.argwhere((steps >= 4) & (roomy > 0))
        if len(free_cells) == 0:
            return None
        row, column = free_cells[np.argmin(steps[free_cells[:, 0], free_cells[:, 1]])]
        via = (EDGE + column * _GRID, EDGE + row * _GRID)
        self._lay(start, free, (int(row), int(column)), via, 16)
        self._blocked[row - 1 : row + 2, column - 1 : column + 2] = 1
        return via

    def stitches(self, count: int) -> list[tuple[float, float]]:
        """Places for vias that tie the ground planes together, spread by chance over free ground."""
        rng = np.random.default_rng(3)
        free_cells: list[tuple[float, float]] = []
        for row, column in rng.permutation(np.argwhere(cv2.erode(1 - self._blocked, _KERNEL)))[: 12 * count]:
            if len(free_cells) < count and not self._blocked[row, column]:
                self._blocked[row - 4 : row + 5, column - 4 : column + 5] = 1
                free_cells.append((EDGE + float(column) * _GRID, EDGE + float(row) * _GRID))
        return free_cells

    def _lay(
        self,
        start: Land,
        free: NDArray[np.uint8],
        goal: tuple[int, int],
        end: tuple[float, float],
        reach: int,
    ) -> bool:
        steps = _wave(free, self._cell(start), reach)
        if steps[goal] < 0:
            return False
        cells = _walk_back(steps, goal)
        middle = np.array(cells[1:-1], dtype=np.float64).reshape(-1, 2)[:, ::-1] * _GRID + EDGE
        self.tracks.append(np.concatenate([[end], middle, [(start.x, start.y)]]))
        laid = np.zeros_like(self._blocked)
        laid[tuple(np.array(cells).T)] = 1
        self._blocked |= _grown(laid)
        return True

    def _free(self, *own: Land) -> NDArray[np.uint8]:
        free = 1 - self._blocked
        for pad in own:
            self._cover(free, pad, 1, margin=0.0)
        return free

    def _cover(self, grid: NDArray[np.uint8], pad: Land, value: int, margin: float) -> None:
        low = [(c - e / 2 - margin - EDGE) / _GRID for c, e in ((pad.y, pad.height), (pad.x, pad.width))]
        high = [(c + e / 2 + margin - EDGE) / _GRID for c, e in ((pad.y, pad.height), (pad.x, pad.width))]
        (top, left), (bottom, right) = ([math.ceil(v) for v in low], [math.floor(v) + 1 for v in high])
        grid[top:bottom, left:right] = value
        grid[self._cell(pad)] = value

    def _cell(self, pad: Land) -> tuple[int, int]:
        return round((pad.y - EDGE) / _GRID), round((pad.x - EDGE) / _GRID)


def _grown(cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The cells and their eight neighbours."""
    return np.asarray(cv2.dilate(cells, _KERNEL), dtype=np.uint8)


def _wave(free: NDArray[np.uint8], start: tuple[int, int], reach: int) -> NDArray[np.int32]:
    """Steps from `start` to each cell over free ground, -1 where not within `reach`."""
    steps = np.full(free.shape, -1, np.int32)
    front = np.zeros_like(free)
    front[start] = 1
    steps[start] = 0
    for step in range(1, reach + 1):
        front = _grown(front) & free
        steps[(front > 0) & (steps < 0)] = step
    return steps


def _walk_back(steps: NDArray[np.int32], goal: tuple[int, int]) -> list[tuple[int, int]]:
    """A shortest path from `goal` to the start of the wave that turns as rarely as it can."""
    cells, heading = [goal], _STEPS[0]
    while steps[cells[-1]] > 0:
        row, column = cells[-1]
        nearer = steps[row, column] - 1
        heading = next(s for s in (heading, *_STEPS) if steps[row + s[0], column + s[1]] == nearer)
        cells.append((row + heading[0], column + heading[1]))
    return cells
