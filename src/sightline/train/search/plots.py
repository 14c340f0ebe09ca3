"""The search report's plots: cost against time, and which settings matter."""

from __future__ import annotations

from typing import Any

import numpy as np

from sightline.evaluate.plots import DEFECTIVE, FAINT, GOOD, INK, LINE, svg
from sightline.train.search.importance import OBJECTIVES
from sightline.train.search.result import SearchResult

ROW_INCHES, FRAME_INCHES = 0.42, 0.9
NAMES = {"cost": "cost of errors", "ms": "ms per image"}
NAME = (0.03, 0.06)  # shares of the plot that a trial's number takes
ROOM = 0.12  # share of the span that is left around the points


def cost_against_time(result: SearchResult) -> str:
    """Finished trials by ms per image and cost, the best of them joined; "" where none finished."""
    points = [(t, t.ms, t.cost.value) for t in result.trials if t.cost is not None and t.ms is not None]
    if not points:
        return ""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.grid(color=FAINT, linewidth=0.5, alpha=0.6)
        front = [(t.ms, t.cost.value) for t in result.front if t.cost is not None]
        axes.step(*zip(*front, strict=True), where="post", color=LINE, linewidth=1.2, label="best for their time")
        others = [(ms, cost) for trial, ms, cost in points if trial not in result.front]
        if others:
            axes.plot(*zip(*others, strict=True), "o", color=FAINT, markersize=7, label="other trials")
        axes.plot(*zip(*front, strict=True), "o", color=LINE, markersize=8)
        width, height = _span([ms for _, ms, _ in points]), _span([cost for _, _, cost in points])
        named: list[tuple[float, float]] = []
        for trial, ms, cost in sorted(points, key=lambda point: point[0] != result.chosen):
            place = ms / (width[1] - width[0]), cost / (height[1] - height[0])
            crowded = any(abs(place[0] - x) < NAME[0] and abs(place[1] - y) < NAME[1] for x, y in named)
            if trial.usual:
                axes.plot([ms], [cost], "D", color=DEFECTIVE, markersize=9, label="usual settings")
            if trial == result.chosen:
                axes.plot([ms], [cost], "o", mfc="none", mec=GOOD, mew=2.5, markersize=18, label="chosen")
            if (trial in result.front or trial == result.chosen) and not crowded:
                named.append(place)
                axes.annotate(
                    f"{trial.number}", (ms, cost), xytext=(9, 9), textcoords="offset points", color=INK, clip_on=False
                )
        axes.set(xlabel="ms per image", ylabel="cost of errors per 1,000 parts", xlim=width, ylim=height)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, borderaxespad=0.0)

    return svg("cost-against-time", (11.0, 4.6), draw)


def what_matters(result: SearchResult) -> str:
    """Bars of the importances, per setting one for each objective; "" where nothing can be said."""
    shares = result.importances
    if not shares:
        return ""
    first = shares.get("cost") or shares["ms"]
    settings = sorted(first, key=lambda name: first[name])

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        places = np.arange(len(settings))
        shown = [name for name in OBJECTIVES if name in shares]
        high = 0.8 / len(shown)
        for index, name in enumerate(shown):
            values = [100 * shares[name].get(setting, 0.0) for setting in settings]
            offset = (len(shown) - 1) / 2 - index
            axes.barh(places + offset * high, values, high * 0.9, color=(LINE, GOOD)[index], label=NAMES[name])
        axes.set_yticks(places, settings)
        axes.set_xlabel("share of the spread over the trials that it explains, %")
        axes.tick_params(axis="y", length=0)
        axes.legend(loc="lower right", frameon=False)

    return svg("what-matters", (11.0, FRAME_INCHES + ROW_INCHES * len(settings)), draw)


def _span(values: list[float]) -> tuple[float, float]:
    """Axis limits with room for marks, wide enough where all values are alike."""
    low, high = min(values), max(values)
    width = max(high - low, 0.1 * abs(high), 1e-3)
    return low - ROOM * width, high + ROOM * width
