"""The search report: one HTML file that needs no network and no JavaScript."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from sightline.core.errors import require
from sightline.evaluate.report.plots import DEFECTIVE, FAINT, GOOD, INK, LINE, svg
from sightline.evaluate.report.report import save_page, templates
from sightline.evaluate.report.text import percent
from sightline.train.search.cost import Cost
from sightline.train.search.result import SearchResult, SearchTrial, beside, money, pairs, short
from sightline.train.search.selection import MIN, OBJECTIVES

ENDED = {"trials": "all that were asked for", "budget": "ended by the budget", "interrupted": "interrupted"}
TEMPLATES = Path(__file__).parent / "templates"


def write_search_report(result: SearchResult, path: str | Path) -> Path:
    """Write the search as one self-contained HTML file and return its path.

    The file appears whole or not at all. Raises InputError where it cannot be written.
    """
    page = templates(TEMPLATES).get_template("search.html")
    return save_page(Path(path), page.render(_context(result)))


def _context(result: SearchResult) -> dict[str, Any]:
    markup = require("markupsafe", "jinja2").Markup
    changes = result.changes()
    default = result.default
    return {
        "result": result,
        "trials": f"{len(result.trials)} trial" + "s" * (len(result.trials) != 1),
        "ended": ENDED[result.ended],
        "created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "recommendation": _recommendation(result),
        "cards": [] if result.chosen is None else _cards(result, result.chosen, default),
        # The plots hold numbers, names of settings and our own words, nothing from file names or labels.
        "pareto": markup(cost_against_time(result)),
        "matters": markup(what_matters(result)),
        "fewest": MIN,
        "finished": result.count("finished"),
        "names": list(result.searched),
        "rows": [_row(trial, result) for trial in _ordered(result)],
        "searched": [(name, values, short(changes[name])) for name, values in result.searched.items()],
        "fixed": [(name, short(value)) for name, value in result.fixed.items()],
        "prices": _prices(result),
    }


def _recommendation(result: SearchResult) -> str:
    sets = pairs(result.changes()) or "no setting"
    if result.chosen is None:
        return "Give the search more time: no trial was finished, so the recipe has the default settings."
    cost = result.chosen.cost
    assert cost is not None
    if result.count("finished") == 1:
        return "Give the search more time: one trial was finished, so there is nothing to compare it with."
    if result.chosen.default:
        return "Stay with the default settings: no others were cheaper by more than chance, or as cheap and faster."
    caveat = ", if real defects were like the synthetic ones" if result.synthetic else ""
    return (
        f"Train with {sets}; errors then cost about {money(cost.value)} per 1,000 parts{caveat} "
        f"({beside(result.prices)})."
    )


def _cards(result: SearchResult, chosen: SearchTrial, base: SearchTrial | None) -> list[dict[str, str]]:
    cost = chosen.cost
    assert cost is not None and chosen.ms is not None
    by_default = "" if base is None or base.cost is None else f" The default settings: {money(base.cost.value)}."
    time = "" if base is None or base.ms is None else f" The default settings: {base.ms:.1f} ms."
    return [
        {
            "title": "Cost of errors per 1,000 parts" + (", synthetic defects" if result.synthetic else ""),
            "value": money(cost.value),
            "text": f"At most {money(cost.upper)} at 95 % for thresholds fixed beforehand.{by_default} "
            f"For comparison: {beside(result.prices)}.",
        },
        {"title": "Errors seen", "value": f"{cost.escapes.count} + {cost.overkills.count}", "text": _errors(cost)},
        {"title": "Time per image", "value": f"{chosen.ms:.1f} ms", "text": f"Median, file to verdict.{time}"},
    ]


def _errors(cost: Cost) -> str:
    escapes, overkills = cost.escapes, cost.overkills
    return (
        f"{escapes.count} of {escapes.of} defective parts judged OK (at most {percent(escapes.upper)}), "
        f"{overkills.count} of {overkills.of} good parts judged NG (at most {percent(overkills.upper)}); each bound "
        f"at {100 * escapes.confidence:g} %."
    )


def _ordered(result: SearchResult) -> list[SearchTrial]:
    """The cheapest first, then those that were stopped, then those that failed."""
    order = ("finished", "pruned", "failed")

    def key(trial: SearchTrial) -> tuple[int, float, float, int]:
        cost = 0.0 if trial.cost is None else trial.cost.value
        return order.index(trial.state), cost, trial.ms or 0.0, trial.number

    return sorted(result.trials, key=key)


def _row(trial: SearchTrial, result: SearchResult) -> dict[str, Any]:
    cost = trial.cost
    flags = {"chosen": trial == result.chosen, "default": trial.default, "front": trial in result.front}
    marks = [name for name, has in flags.items() if has]
    return {
        "number": trial.number,
        "state": trial.state,
        "marks": ", ".join(marks),
        "chosen": trial == result.chosen,
        "cost": "–" if cost is None else money(cost.value),
        "upper": "–" if cost is None else money(cost.upper),
        "escapes": "–" if cost is None else f"{cost.escapes.count}/{cost.escapes.of}",
        "overkills": "–" if cost is None else f"{cost.overkills.count}/{cost.overkills.of}",
        "reviews": "–" if cost is None else f"{cost.reviews}",
        "ms": trial.ms,
        "values": [(name, short(trial.params.get(name))) for name in result.searched],
        "reason": trial.reason,
    }


def _prices(result: SearchResult) -> list[tuple[str, str]]:
    prices = result.prices
    review = "none: one threshold separates OK from NG" if prices.review is None else f"{prices.review:g}"
    kind = "synthetic defects" if result.synthetic else "labelled defective parts"
    return [
        ("Defective parts on the line", percent(prices.defect_rate)),
        ("Price of an escape", f"{prices.escape:g}"),
        ("Price of an overkill", f"{prices.overkill:g}"),
        ("Price of a review", review),
        ("Good parts judged", f"{result.good:,}"),
        ("Defects judged", f"{result.defective:,} {kind}"),
        ("Held out by", f"{result.folds} folds over {result.units:,} units (groups, lots, near-duplicates)"),
        ("Threads and processes", f"{result.settings.threads} and {result.processes}"),
        ("Seed", f"{result.settings.seed}"),
    ]


# The search report's plots: cost against time, and which settings matter.

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
            point = ms / (width[1] - width[0]), cost / (height[1] - height[0])
            crowded = any(abs(point[0] - x) < NAME[0] and abs(point[1] - y) < NAME[1] for x, y in named)
            if trial.default:
                axes.plot([ms], [cost], "D", color=DEFECTIVE, markersize=9, label="default settings")
            if trial == result.chosen:
                axes.plot([ms], [cost], "o", mfc="none", mec=GOOD, mew=2.5, markersize=18, label="chosen")
            if (trial in result.front or trial == result.chosen) and not crowded:
                named.append(point)
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
        rows = np.arange(len(settings))
        objectives = [name for name in OBJECTIVES if name in shares]
        high = 0.8 / len(objectives)
        for index, name in enumerate(objectives):
            values = [100 * shares[name].get(setting, 0.0) for setting in settings]
            offset = (len(objectives) - 1) / 2 - index
            axes.barh(rows + offset * high, values, high * 0.9, color=(LINE, GOOD)[index], label=NAMES[name])
        axes.set_yticks(rows, settings)
        axes.set_xlabel("share of the spread over the trials that it explains, %")
        axes.tick_params(axis="y", length=0)
        axes.legend(loc="lower right", frameon=False)

    return svg("what-matters", (11.0, FRAME_INCHES + ROW_INCHES * len(settings)), draw)


def _span(values: list[float]) -> tuple[float, float]:
    """Axis limits with room for marks, wide enough where all values are alike."""
    low, high = min(values), max(values)
    width = max(high - low, 0.1 * abs(high), 1e-3)
    return low - ROOM * width, high + ROOM * width
