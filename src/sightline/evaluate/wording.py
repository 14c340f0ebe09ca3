"""Figures in words: the same rounding and the same sentences in the terminal and in the report."""

from __future__ import annotations

from sightline.core.card import Bounded
from sightline.evaluate.bounds import share

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


def seen(bounded: Bounded | None) -> str:
    """A sample as "2 of 40"."""
    return NONE if bounded is None else f"{bounded.count:,} of {bounded.of:,}"


def claim(bounded: Bounded, what: str, name: str) -> str:
    """A rate as a sentence: what was seen, the rate, and what the sample can promise."""
    confidence = f"{100 * bounded.confidence:g} % confidence"
    if not bounded.of:
        return f"No {what}: nothing can be said about {name}."
    return (
        f"{seen(bounded)} {what}: {name} {percent(share(bounded))}, at most {percent(bounded.upper)} at {confidence}."
    )
