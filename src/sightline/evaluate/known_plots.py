"""Plots of what a recipe knows: the reliability of stated probabilities."""

from __future__ import annotations

from typing import Any

from sightline.evaluate.confidence import Reliability
from sightline.evaluate.plots import FAINT, INK, LINE, svg


def reliability_plot(found: Reliability | None) -> str:
    """Share right over what was said, with exact intervals and the diagonal; "" where nothing was said."""
    if found is None or not found.bins:
        return ""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
        for row in found.bins:
            seen = row.right.count / row.right.of
            axes.plot([row.mean, row.mean], [row.right.lower, row.right.upper], color=LINE, linewidth=1.5, alpha=0.5)
            axes.plot([row.mean], [seen], "o", color=LINE, markersize=6, clip_on=False)
        axes.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.03), xlabel="probability that was said", ylabel="share right")
        ticks = [0, 0.25, 0.5, 0.75, 1]
        axes.set_xticks(ticks, [f"{100 * tick:.0f} %" for tick in ticks])
        axes.set_yticks(ticks, [f"{100 * tick:.0f} %" for tick in ticks])
        axes.grid(color=FAINT, linewidth=0.5, alpha=0.6)
        axes.text(0.03, 0.96, "on the line: as often right as said", color=INK, va="top")

    return svg("reliability", (5.4, 4.9), draw)
