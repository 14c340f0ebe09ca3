"""Exact one-sided bounds of a rate, by the tails of the binomial distribution, in numpy alone.

Sources: C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
binomial", Biometrika 26 (1934) 404-413; a single probability without cancellation: C. Loader, "Fast and accurate
computation of binomial probabilities", 2000; where a tail may be cut off: W. Hoeffding, "Probability inequalities for
sums of bounded random variables", Journal of the American Statistical Association 58 (1963) 13-30.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)
STIRLING_FROM = 16  # from here on four terms of the series are exact to 1e-14


def lower(count: int, of: int, tail: float) -> float:
    """The rate at which `count` or more events among `of` parts have the probability `tail`; 0 without an event.

    `tail` in (0, 1), 0 <= count <= of.
    """
    if count == 0:
        return 0.0
    if count == of:
        return math.exp(math.log(tail) / of)
    if tail > 0.5:  # a rate above count / of, which the other tail finds
        return upper(count - 1, of, 1.0 - tail)
    # At count / of the median is `count`, so that the tail there is at least 1/2: the rate is below.
    return _root(lambda rate: _at_least(count, of, rate, 1.0 - rate) < tail, 0.0, count / of)


def upper(count: int, of: int, tail: float) -> float:
    """The rate at which `count` or fewer events among `of` parts have the probability `tail`; 1 where all are events.

    `tail` in (0, 1), 0 <= count <= of.
    """
    if count == of:
        return 1.0
    if count == 0:
        return -math.expm1(math.log(tail) / of)
    if tail > 0.5:
        return lower(count + 1, of, 1.0 - tail)
    # `count` or fewer events are `of - count` or more parts without one.
    return _root(lambda rate: _at_least(of - count, of, 1.0 - rate, rate) > tail, count / of, 1.0)


def _root(below: Callable[[float], bool], low: float, high: float) -> float:
    """Where `below` turns from true to false, to the last digit, by bisection."""
    while low < (middle := (low + high) / 2.0) < high:
        low, high = (middle, high) if below(middle) else (low, middle)
    return low


def _at_least(count: int, of: int, rate: float, rest: float) -> float:
    """The probability of `count` or more events, `count` not below the mean; 0 < count < of, rest = 1 - rate.

    That of `count`, and each further one by its ratio to the one before: all are positive, none is above 1, so
    nothing cancels. What lies 5 sqrt(of) events further on is below e**-50 (Hoeffding).
    """
    first = np.arange(count, min(of, count + math.ceil(5.0 * math.sqrt(of))), dtype=np.float64)
    ratios = (of - first) / (first + 1.0) * (rate / rest)
    return _exactly(count, of, rate, rest) * (1.0 + float(np.cumprod(ratios).sum()))


def _exactly(count: int, of: int, rate: float, rest: float) -> float:
    """The probability of `count` events, 0 < count < of."""
    others = of - count
    log = _stirling_error(of) - _stirling_error(count) - _stirling_error(others)
    log -= _deviance(count, of * rate) + _deviance(others, of * rest)
    return math.exp(log + 0.5 * math.log(of / (count * others)) - HALF_LOG_2_PI)


def _stirling_error(n: int) -> float:
    """log n! less Stirling's formula for it."""
    if n < STIRLING_FROM:
        return math.lgamma(n + 1.0) - (n + 0.5) * math.log(n) + n - HALF_LOG_2_PI
    square = 1.0 / (n * n)
    return (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - square / 1680.0) * square) * square) / n


def _deviance(observed: float, expected: float) -> float:
    """seen log(seen / expected) + expected - seen, without cancellation where they are close."""
    apart = (observed - expected) / expected
    return expected * ((1.0 + apart) * math.log1p(apart) - apart)
