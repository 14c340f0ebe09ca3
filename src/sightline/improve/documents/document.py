"""A document as values, and its interval chart as lines and words in points: both writers draw the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

WIDTH = 480.0  # of a chart, in points
ROW, TOP, NAMES = 20.0, 14.0, 130.0


@dataclass(frozen=True, slots=True)
class Rows:
    """A table; `wide` gives the columns' shares of the width, equal ones where it is empty."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    wide: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure with its interval, None where there is none."""

    name: str
    value: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class Chart:
    """Figures with intervals on one scale from `low` to `high`; `limits` are lines with a word each."""

    title: str
    bars: tuple[Bar, ...]
    limits: tuple[tuple[float, str], ...] = ()
    low: float = 0.0
    high: float = 1.0
    percent: bool = True


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture (JPEG or PNG bytes) with a word below it."""

    data: bytes
    caption: str


Block = str | Rows | Chart | Photo


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what follows it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A report: its title, the answer in a word, one sentence, and sections."""

    title: str
    answer: str
    good: bool | None  # how the answer is coloured: None where it is neither
    sentence: str
    sections: tuple[Section, ...]
    footer: str = field(default="")


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line in points, from the top left."""

    x1: float
    y1: float
    x2: float
    y2: float
    kind: Literal["axis", "limit", "interval", "value"]


@dataclass(frozen=True, slots=True)
class Word:
    """A text at a point."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"]


def draw(chart: Chart) -> tuple[float, Sequence[Stroke], Sequence[Word]]:
    """Height, lines and words of a chart that is `WIDTH` points wide."""
    right = WIDTH - 90.0
    scale = (right - NAMES) / ((chart.high - chart.low) or 1.0)

    def x(value: float) -> float:
        return NAMES + (min(chart.high, max(chart.low, value)) - chart.low) * scale

    base = TOP + ROW * len(chart.bars)
    strokes = [Stroke(NAMES, base, right, base, "axis")]
    words = []
    for limit, word in chart.limits:
        strokes.append(Stroke(x(limit), TOP - 2, x(limit), base, "limit"))
        words.append(Word(x(limit), TOP - 4, word, "middle"))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        value = chart.low + share * (chart.high - chart.low)
        strokes.append(Stroke(x(value), base, x(value), base + 3, "axis"))
        words.append(Word(x(value), base + 12, said(value, chart.percent), "middle"))
    for number, bar in enumerate(chart.bars):
        y = TOP + ROW * (number + 0.5)
        words.append(Word(NAMES - 8, y + 3, bar.name, "end"))
        told = said(bar.value, chart.percent)
        if bar.lower is not None and bar.upper is not None:
            strokes.append(Stroke(x(bar.lower), y, x(bar.upper), y, "interval"))
            told += f" ({said(bar.lower, chart.percent)} – {said(bar.upper, chart.percent)})"
        strokes.append(Stroke(x(bar.value), y - 5, x(bar.value), y + 5, "value"))
        words.append(Word(right + 6, y + 3, told, "start"))
    return base + 18, strokes, words


def said(value: float | None, percent: bool = True) -> str:
    """A figure in words: a share as per cent, else two decimals."""
    if value is None:
        return "–"
    return f"{100 * value + 1e-9:.1f} %" if percent else f"{value:.2f}"
