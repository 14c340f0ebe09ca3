"""The input's size within a time: the largest whose inspection this machine is expected to finish in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from sightline.train.intake import InputSize, warn
from sightline.train.trunk import Trunk

SIDES_PX = (2048, 1536, 1024, 768, 640, 512, 448, 384, 320, 256, 224, 192, 160, 128, 96, 64)
WHOLE = 1.6  # whole graph over bare trunk, measured: benchmarks/spine.md
RUNS = 5


def area_in_time(trunk: Trunk, size_of: Callable[[int], InputSize], most_px: int, budget_ms: float) -> tuple[int, str]:
    """Area in square px, at most `most_px`, of an input that is inspected within `budget_ms`, and why.

    `size_of(area)` is the input's size for an area. Sizes are tried from the largest down, the trunk timed on each;
    decoding and resizing are not counted, as a camera's frames need none of the first and little of the second.
    Where even the smallest takes longer, it is taken, with a warning.
    """
    sides = [round(most_px**0.5), *(side for side in SIDES_PX if side**2 < most_px)]
    for side in sides:
        expected = WHOLE * _trunk_ms(trunk, size_of(side**2))
        if expected <= budget_ms:
            return side**2, f"about {expected:.1f} ms of the {budget_ms:g} ms allowed, by the trunk's time here"
    warn(
        f"no input is inspected within {budget_ms:g} ms here: the smallest takes about {expected:.1f} ms. "
        "Allow more time, more threads, or choose a smaller backbone"
    )
    return sides[-1] ** 2, f"the smallest there is, about {expected:.1f} ms where {budget_ms:g} ms are allowed"


def _trunk_ms(trunk: Trunk, size: InputSize) -> float:
    image = np.zeros((1, size.height, size.width, 3), np.uint8)
    trunk(image)  # the first run makes room
    return median_ms(lambda: trunk(image))


def median_ms(run: Callable[[], object], runs: int = RUNS) -> float:
    """Median time of a call in ms."""
    times: Sequence[float] = [_timed(run) for _ in range(runs)]
    return float(np.median(times))


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3
