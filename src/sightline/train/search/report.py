"""The search report: one HTML file that needs no network and no JavaScript."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sightline.evaluate.extra import require
from sightline.evaluate.report import save_page, templates
from sightline.evaluate.wording import percent
from sightline.train.search import plots
from sightline.train.search.cost import Cost
from sightline.train.search.importance import FEWEST
from sightline.train.search.result import SearchResult, SearchTrial, money, pairs, shown

ENDED = {"trials": "all that were asked for", "budget": "ended by the budget", "interrupted": "interrupted"}
TEMPLATES = Path(__file__).parent / "templates"


def write_search_report(result: SearchResult, path: str | Path, *, created: datetime | None = None) -> Path:
    """Write the search as one self-contained HTML file and return its path.

    The file appears whole or not at all. `created` is the time printed on it (now, in UTC). Raises InputError where it
    cannot be written.
    """
    page = templates(TEMPLATES).get_template("search.html")
    return save_page(Path(path), page.render(_context(result, created or datetime.now(UTC))))


def _context(result: SearchResult, created: datetime) -> dict[str, Any]:
    markup = require("markupsafe", "jinja2").Markup
    changes = result.changes()
    usual = result.usual
    return {
        "result": result,
        "trials": f"{len(result.trials)} trial" + "s" * (len(result.trials) != 1),
        "ended": ENDED[result.ended],
        "created": created.strftime("%Y-%m-%d %H:%M %Z").strip(),
        "recommendation": _recommendation(result),
        "cards": [] if result.chosen is None else _cards(result, result.chosen, usual),
        # The plots hold numbers, names of settings and our own words, nothing from file names or labels.
        "pareto": markup(plots.cost_against_time(result)),
        "matters": markup(plots.what_matters(result)),
        "fewest": FEWEST,
        "finished": result.count("finished"),
        "names": list(result.searched),
        "rows": [_row(trial, result) for trial in _ordered(result)],
        "searched": [(name, words, shown(changes[name])) for name, words in result.searched.items()],
        "fixed": [(name, shown(value)) for name, value in result.fixed.items()],
        "prices": _prices(result),
    }


def _recommendation(result: SearchResult) -> str:
    sets = pairs(result.changes()) or "no setting"
    if result.chosen is None:
        return "Give the search more time: no trial was finished, so the recipe has the usual settings."
    cost = result.chosen.cost
    assert cost is not None
    if result.count("finished") == 1:
        return "Give the search more time: one trial was finished, so there is nothing to compare it with."
    if result.chosen.usual:
        return "Stay with the usual settings: no others were cheaper by more than chance, or as cheap and faster."
    return f"Train with {sets}; errors then cost about {money(cost.value)} per 1,000 parts{_drawn(result)}."


def _drawn(result: SearchResult) -> str:
    return ", if real defects were like the synthetic ones" if result.synthetic else ""


def _cards(result: SearchResult, chosen: SearchTrial, usual: SearchTrial | None) -> list[dict[str, str]]:
    cost = chosen.cost
    assert cost is not None and chosen.ms is not None
    beside = "" if usual is None or usual.cost is None else f" The usual settings: {money(usual.cost.value)}."
    time = "" if usual is None or usual.ms is None else f" The usual settings: {usual.ms:.1f} ms."
    return [
        {
            "title": "Cost of errors per 1,000 parts" + (", synthetic defects" if result.synthetic else ""),
            "value": money(cost.value),
            "words": f"At most {money(cost.upper)} at 95 % for thresholds fixed beforehand.{beside}",
        },
        {"title": "Errors seen", "value": f"{cost.escapes.count} + {cost.overkills.count}", "words": _errors(cost)},
        {"title": "Time per image", "value": f"{chosen.ms:.1f} ms", "words": f"Median, file to verdict.{time}"},
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
    marks = [
        name
        for name, has in (("chosen", trial == result.chosen), ("usual", trial.usual), ("front", trial in result.front))
        if has
    ]
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
        "values": [shown(trial.params.get(name)) for name in result.searched],
        "reason": trial.reason,
    }


def _prices(result: SearchResult) -> list[tuple[str, str]]:
    prices = result.prices
    review = "none: one threshold parts OK from NG" if prices.review is None else f"{prices.review:g}"
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
