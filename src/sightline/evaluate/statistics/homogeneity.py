"""Is a share the same everywhere, or is the difference between several places more than chance?

Source: K. Pearson's chi-square over the 2 x K table, its distribution under equal shares drawn with both margins fixed
(A. C. A. Hope, "A simplified Monte Carlo significance test procedure", JRSS B 30 (1968) 582-598): right for small
counts, too, where the chi-square distribution is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DRAWS = 1999


def same_share(counts: Sequence[int], of: Sequence[int], seed: int = 0) -> float | None:
    """How likely shares so different as `counts` (K,) among `of` (K,) are where all are equal; at least 1 / 2000.

    None where there are not two places with parts. Holds for parts that are independent of each other. Raises
    ValueError for counts that cannot be.
    """
    if len(counts) != len(of) or any(not 0 <= count <= parts for count, parts in zip(counts, of, strict=True)):
        raise ValueError("each place needs 0 <= count <= of")
    parts = np.array([n for n in of if n], np.int64)
    seen = np.array([count for count, n in zip(counts, of, strict=True) if n], np.int64)
    if len(parts) < 2:
        return None
    total = int(seen.sum())
    if total in (0, int(parts.sum())):
        return 1.0
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(parts, total, DRAWS, method="marginals")
    apart = _apart(drawn, parts, total)
    limit = _apart(seen[None], parts, total)[0] * (1 - 1e-9)  # sums of the same table in another order are as far
    return float((1 + np.count_nonzero(apart >= limit)) / (DRAWS + 1))


def _apart(tables: NDArray[np.int64], parts: NDArray[np.int64], total: int) -> NDArray[np.float64]:
    """The chi-square (T,) of counts (T, K), up to a factor that is the same for all."""
    expected = parts * (total / parts.sum())
    return np.asarray((((tables - expected) ** 2) / parts).sum(axis=1), np.float64)
