"""How long a verdict takes, from file to verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in ms over `count` images, the first (warm-up) image left out; None without images."""

    p50: float | None
    p95: float | None
    p99: float | None
    count: int


def latency(ms: Sequence[float]) -> Latency:
    """Percentiles of times in ms, given in the order of inspection."""
    warm = np.asarray(ms[1:], np.float64)
    if not warm.size:
        return Latency(None, None, None, 0)
    p50, p95, p99 = (float(value) for value in np.percentile(warm, [50, 95, 99]))
    return Latency(p50, p95, p99, int(warm.size))
