"""Figures in words: the same rounding and the same sentences in the terminal and in the reports."""

from __future__ import annotations

from sightline.core.card import Bounded
from sightline.evaluate.statistics.comparison_tests import Difference
from sightline.evaluate.statistics.intervals import Interval, Rate

NONE = "–"


def percent(value: float | None) -> str:
    """A share as "5.0 %"; a small one keeps two digits, so that what was seen never reads as nothing."""
    if value is None:
        return NONE
    return f"{100 * value:.2g} %" if 0 < value < 0.001 else f"{100 * value:.1f} %"


def figure(value: float | None) -> str:
    """A metric in 0..1 with three decimals; "1.000" only where nothing is missing."""
    if value is None:
        return NONE
    text = f"{value:.3f}"
    return "0.999" if text == "1.000" and value < 1.0 else text


def milliseconds(value: float | None) -> str:
    """A time as "8.4 ms" or "84 ms"."""
    if value is None:
        return NONE
    return f"{value:.1f} ms" if value < 20 else f"{value:,.0f} ms"


def counted(bounded: Bounded | None) -> str:
    """A sample as "2 of 40"."""
    return NONE if bounded is None else f"{bounded.count:,} of {bounded.of:,}"


def of(rate: Rate) -> str:
    """A rate as "38 of 40, 95.0 %"."""
    return f"{rate.count:,} of {rate.of:,}, {percent(rate.value)}" if rate.of else NONE


def span(rate: Rate) -> str:
    """The exact interval of a rate as "83.1 % to 99.4 %"."""
    return f"{percent(rate.lower)} to {percent(rate.upper)}" if rate.of else NONE


def interval(found: Interval) -> str:
    """A figure with its interval, or with its sample where that gives none."""
    if found.value is None:
        return NONE
    if found.lower is None or found.upper is None:
        return f"{figure(found.value)} ({found.of:,} parts)"
    return f"{figure(found.value)} ({figure(found.lower)} to {figure(found.upper)}, {found.of:,} parts)"


def gain(found: Difference) -> str:
    """A difference of two AUROCs, with its interval."""
    if found.value is None:
        return NONE
    if found.lower is None or found.upper is None:
        return f"{found.value:+.3f} ({found.parts:,} parts, no interval)"
    return f"{found.value:+.3f} ({found.lower:+.3f} to {found.upper:+.3f} at 95 %, {found.parts:,} parts)"


def claim(bounded: Bounded, what: str, name: str) -> str:
    """A rate as a sentence: what was seen, the rate, and what the sample can promise."""
    confidence = f"{100 * bounded.confidence:g} % confidence"
    if not bounded.of:
        return f"No {what}: nothing can be said about {name}."
    upper = f"at most {percent(bounded.upper)} at {confidence}"
    return f"{counted(bounded)} {what}: {name} {percent(bounded.value)}, {upper}."
