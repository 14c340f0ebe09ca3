"""The report's plots as inline SVG that follows the page's colours and fonts."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.core.card import Card
from sightline.core.errors import require
from sightline.core.result import Band
from sightline.evaluate.evaluation import Evaluation
from sightline.evaluate.metrics.probabilities import Reliability
from sightline.evaluate.statistics.intervals import ranked

# Matplotlib knows colours, the page knows themes: each stand-in colour becomes a CSS variable of the page.
INK, FAINT, GOOD, DEFECTIVE, REVIEW, LINE = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
VARIABLES = {
    INK: "var(--ink)", FAINT: "var(--rule)", GOOD: "var(--good)", DEFECTIVE: "var(--bad)",
    REVIEW: "var(--review)", LINE: "var(--accent)",
}  # fmt: skip
BARS = 36
WIDE = 30  # scores over this range, largest by smallest, go on a logarithmic scale
ROOM = 0.1  # share of the plot's width that the word "REVIEW" needs
HIGH_CHANCE = 0.9  # above it the word "chance" goes below its line
STYLE = {
    "svg.fonttype": "none", "font.family": "DejaVu Sans", "font.size": 10, "axes.edgecolor": FAINT,
    "axes.labelcolor": INK, "text.color": INK, "xtick.color": FAINT, "ytick.color": FAINT,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.unicode_minus": False, "axes.titlesize": 10,
}  # fmt: skip


def histogram(evaluation: Evaluation) -> str:
    """Scores of good parts above those of defective ones, with the band; "" where no score is finite."""
    good, defective = _scores(evaluation, False), _scores(evaluation, True)
    if not good.size and not defective.size:
        return ""
    band = _plotted_band(evaluation.card)

    def draw(figure: Any) -> None:
        rows = figure.subplots(2, 1, sharex=True)
        edges, scale = _edges(np.concatenate([good, defective, [band.low, band.high]]), band)
        for axes, scores, colour, name in (
            (rows[0], good, GOOD, "good"),
            (rows[1], defective, DEFECTIVE, "defective"),
        ):
            axes.hist(scores, bins=edges, color=colour)
            axes.set_xscale(scale)
            axes.set_ylabel(f"{name} parts")
            axes.yaxis.get_major_locator().set_params(integer=True, nbins=4)
            axes.margins(x=0.01)
            axes.axvspan(band.low, band.high, color=REVIEW, alpha=0.18, linewidth=0, zorder=0)
            for limit in (band.low, band.high):
                axes.axvline(limit, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        if not evaluation.card.without_good:
            _name_band(rows[0], band)
        rows[1].set_xlabel("score (higher = more defective)" + (", logarithmic scale" if scale == "log" else ""))
        if scale == "log":
            rows[1].xaxis.set_major_formatter(
                require("matplotlib.ticker", "matplotlib").LogFormatter(minor_thresholds=(2, 1))
            )

    return svg("histogram", (11.0, 4.3), draw)


def roc(evaluation: Evaluation) -> str:
    """The ROC curve with the points at which the band works; "" where a class is missing."""
    if evaluation.image_auroc is None:
        return ""
    labels, ranks = _labels_and_ranks(evaluation)
    fpr, tpr, _ = require("sklearn.metrics", "scikit-learn").roc_curve(labels, ranks)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
        axes.plot(fpr, tpr, color=LINE, linewidth=2)
        for x, y, colour, name in _operating_points(evaluation):
            axes.plot([x], [y], "o", color=colour, markersize=8, label=name, clip_on=False)
        _square(axes, "good parts called defective", "defective parts found")
        axes.legend(loc="lower right", frameon=False)

    return svg("roc", (5.4, 4.9), draw)


def precision_recall(evaluation: Evaluation) -> str:
    """The precision-recall curve with its chance level; "" where a class is missing."""
    if evaluation.image_ap is None:
        return ""
    labels, ranks = _labels_and_ranks(evaluation)
    precision, recall, _ = require("sklearn.metrics", "scikit-learn").precision_recall_curve(labels, ranks)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.axhline(labels.mean(), color=FAINT, linewidth=1)
        # scikit-learn gives the points from low thresholds to high; precision holds until the next one.
        axes.step(recall, precision, color=LINE, linewidth=2, where="post")
        _square(axes, "defective parts found (recall)", "called rightly (precision)")
        chance = labels.mean()
        below = chance < HIGH_CHANCE
        axes.text(0.02, chance + (0.02 if below else -0.02), "chance", va="bottom" if below else "top")

    return svg("precision-recall", (5.4, 4.9), draw)


def _plotted_band(card: Card) -> Band:
    """The band as it is drawn: without good parts there is one limit, which tells labelled types from all else."""
    return Band(low=card.band.high, high=card.band.high) if card.without_good else card.band


def _scores(evaluation: Evaluation, defective: bool) -> NDArray[np.float64]:
    scores = np.array([image.score for image in evaluation.images if image.defective == defective], np.float64)
    return scores[np.isfinite(scores)]


def _labels_and_ranks(evaluation: Evaluation) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    _, ranks, labels = ranked([i.score for i in evaluation.images], [i.defective for i in evaluation.images])
    return labels, ranks


def _operating_points(evaluation: Evaluation) -> list[tuple[float, float, str, str]]:
    band, points = _plotted_band(evaluation.card), []
    for limit, colour, name in ((band.high, DEFECTIVE, "NG"), (band.low, REVIEW, "NG or REVIEW")):
        rates = []
        for defective in (False, True):
            calls = [not image.score <= limit for image in evaluation.images if image.defective == defective]
            rates.append(float(np.mean(calls)))
        points.append((rates[0], rates[1], colour, name))
    return points[:1] if band.low == band.high else points


def _edges(values: NDArray[np.float64], band: Band) -> tuple[NDArray[np.float64], str]:
    """Bar edges over all values, and the axis' scale: "linear", or "log" for a few scores far above the rest.

    A limit of the band is an edge, so that no bar holds parts of different verdicts; where the band is
    narrower than a bar only its high limit is.
    """
    logarithmic = values.min() > 0 and values.max() / values.min() > WIDE
    low, high = np.log([band.low, band.high]) if logarithmic else (band.low, band.high)
    positions = np.log(values) if logarithmic else values
    width = max(float(np.ptp(positions)), 1e-6 * max(1.0, abs(high))) / BARS
    if high - low > width / 2:
        width = (high - low) / round((high - low) / width + 0.25)
    first, last = np.floor((positions.min() - high) / width), np.ceil((positions.max() - high) / width)
    edges = high + width * np.arange(first - 1, last + 1)
    # A score at a limit is on its lower side, while bars include their lower edge: nudge the edges up.
    return np.nextafter(np.exp(edges) if logarithmic else edges, np.inf), "log" if logarithmic else "linear"


def _name_band(axes: Any, band: Band) -> None:
    # In shares of the plot's width, whatever its scale; limits outside the scores stay inside the plot.
    corners = axes.transData.transform([(band.low, 0.0), (band.high, 0.0)])
    low, high = axes.transAxes.inverted().transform(corners)[:, 0]
    names = [("OK", low - 0.008, "right"), ("NG", high + 0.008, "left")]
    if high - low > ROOM:
        names.append(("REVIEW", (low + high) / 2, "center"))
    for name, x, side in names:
        axes.text(x, 1.03, name, transform=axes.transAxes, ha=side)


def _square(axes: Any, x: str, y: str) -> None:
    axes.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.03), xlabel=x, ylabel=y)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    names = [f"{100 * tick:.0f} %" for tick in ticks]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.grid(color=FAINT, linewidth=0.5, alpha=0.6)


def svg(name: str, size: tuple[float, float], draw: Callable[[Any], None]) -> str:
    """An <svg> element of `size` inches that `draw(figure)` fills, reproducible, coloured by the page."""
    matplotlib = require("matplotlib", "matplotlib")
    figures = require("matplotlib.figure", "matplotlib")
    # The page brings its own fonts; Matplotlib's remarks about missing ones would only alarm.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    buffer = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name, "svg.id": name}):
        figure = figures.Figure(figsize=size, layout="constrained")
        draw(figure)
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _themed(buffer.getvalue())


def _themed(document: str) -> str:
    plot = document[document.index("<svg") :]
    plot = re.sub(r"<metadata>.*?</metadata>", "", plot, flags=re.DOTALL)
    # Without fixed width and height the viewBox scales the plot to its column.
    plot = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", plot, count=1)
    plot = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", plot, count=1)
    # Matplotlib names its groups alike in every plot, and names are unique in a page. Nothing refers to them.
    plot = re.sub(r'<g id="[^"]*"', "<g", plot)
    for colour, variable in VARIABLES.items():
        plot = plot.replace(colour, variable)
    return plot


def reliability_plot(found: Reliability | None) -> str:
    """Share right over the stated probability, with exact intervals and the diagonal; "" where none was stated."""
    if found is None or not found.bins:
        return ""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
        for row in found.bins:
            observed = row.right.count / row.right.of
            axes.plot([row.mean, row.mean], [row.right.lower, row.right.upper], color=LINE, linewidth=1.5, alpha=0.5)
            axes.plot([row.mean], [observed], "o", color=LINE, markersize=6, clip_on=False)
        _square(axes, "stated probability", "share right")
        axes.text(0.03, 0.96, "on the line: as often right as stated", color=INK, va="top")

    return svg("reliability", (5.4, 4.9), draw)
