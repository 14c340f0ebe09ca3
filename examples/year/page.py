"""One page about a year: what escaped, what was rejected, what people looked at, and what happened when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from year.parts import LENS, MONTHS, NEW_DEFECT, Year
from year.plant import NEW_NAME, Event

from sightline.core.result import Verdict
from sightline.evaluate.prices import PER
from sightline.evaluate.statistics.intervals import Rate, exact_rate
from sightline.improve.promotion import PRICES

WIDE, HIGH, LEFT, TOP = 980, 150, 56, 12
NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
RECIPES = ("frozen", "loop")
TITLES = {"frozen": "recipe as it was made", "loop": "with Sightline's loop"}
SHOWN = ("line", "alarm", "recipe", "kept", "refused")  # of events, in the charts; the table has all
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1b2430}
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:1.8rem 0 .2rem}p{margin:.3rem 0 .6rem}
table{border-collapse:collapse;width:100%}th,td{border-bottom:1px solid #d5dbe3}
th,td{padding:.3rem .6rem;text-align:left;vertical-align:top}
.figures td:nth-child(n+2){font-variant-numeric:tabular-nums}small{color:#5a6675}
svg{width:100%;height:auto;display:block}text{font:11px system-ui,sans-serif;fill:#1b2430}
.axis{stroke:#c3cad4}.frozen{stroke:#b3541e;fill:none}.loop{stroke:#1d5fa8;fill:none}
.frozen.dot{fill:#b3541e}.loop.dot{fill:#1d5fa8}
.event{stroke:#8a95a3;stroke-dasharray:2 3}.mark{fill:#1b2430}
.mark.line{fill:#8e1b12}.markno{fill:#fff;font-weight:600;font-size:10px}
.key span{display:inline-block;width:1.6rem;border-top:3px solid;margin:0 .4rem .25rem 1rem;vertical-align:middle}
.num{display:inline-block;min-width:1.3rem;text-align:center;border-radius:.7rem;background:#1b2430;color:#fff;font-size:.8rem}
.when{white-space:nowrap}
.num.line{background:#8e1b12}"""


@dataclass(frozen=True)
class Judged:
    """A part: its number, what it truly shows ("": it is good), both verdicts, and what the loop's recipe calls it."""

    index: int
    kind: str
    frozen: Verdict
    loop: Verdict
    called: str


Measure = Callable[[Sequence[Judged], str], Rate]


def escapes(parts: Sequence[Judged], recipe: str) -> Rate:
    """Defective parts that were judged OK."""
    said = [getattr(one, recipe) for one in parts if one.kind]
    return exact_rate(said.count(Verdict.OK), len(said))


def overkills(parts: Sequence[Judged], recipe: str) -> Rate:
    """Good parts that were judged NG."""
    said = [getattr(one, recipe) for one in parts if not one.kind]
    return exact_rate(said.count(Verdict.NG), len(said))


def reviews(parts: Sequence[Judged], recipe: str) -> Rate:
    """Parts that went to a person as REVIEW."""
    return exact_rate(sum(getattr(one, recipe) is Verdict.REVIEW for one in parts), len(parts))


def cost(parts: Sequence[Judged], recipe: str) -> float:
    """Per 1,000 parts at the prices by which a new recipe is compared with the one in use."""
    bad, good = escapes(parts, recipe).value or 0.0, overkills(parts, recipe).value or 0.0
    looked = (reviews(parts, recipe).value or 0.0) * (PRICES.review or 0.0)
    share = PRICES.defect_rate
    return PER * (share * bad * PRICES.escape + (1 - share) * good * PRICES.overkill + looked)


MEASURES: tuple[tuple[str, str, Measure], ...] = (
    ("Escapes", "defective parts judged OK", escapes),
    ("Overkill", "good parts judged NG", overkills),
    ("Review load", "parts that a person has to look at", reviews),
)


def write_page(path: Path, year: Year, parts: Sequence[Judged], events: Sequence[Event], answers: str) -> Path:
    """Write the page."""
    all_events = _numbered(year, events)
    charts = ""
    for name, about, measure in MEASURES:
        charts += f"<h2>{name} <small>{about}, by month, with 95 % bounds</small></h2>"
        charts += _chart(year, parts, measure, all_events, marked=measure is escapes)
    rows = "".join(
        f'<tr><td><span class="num {one.kind}">{number}</span></td><td class="when">{year.moment(one.index):%d %b}</td>'
        f"<td>{escape(one.text)}</td></tr>"
        for number, one in all_events
    )
    page = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A year on the line</title>
<style>{STYLE}</style></head><body><h1>A year on the line</h1>
<p>{_headline(parts)}</p><p><small>{escape(answers)}</small></p>
<p class="key">{_key()}</p>
{charts}<h2>In figures</h2>{_figures(year, parts)}
<h2>What happened</h2><table>{rows}</table></body></html>"""
    path.write_text(page, encoding="utf-8")
    return path


def _key() -> str:
    told = {**{"#b3541e": TITLES["frozen"], "#1d5fa8": TITLES["loop"]}, "#8e1b12": "what happened to the line"}
    told["#1b2430"] = "what Sightline and people did"
    return "".join(f'<span style="border-color:{colour}"></span>{text}' for colour, text in told.items())


def _numbered(year: Year, events: Sequence[Event]) -> list[tuple[int, Event]]:
    each = year.parts // MONTHS
    line = [
        Event(0, "line", "the lamp begins to fade, by a quarter until December"),
        Event((LENS - 1) * each, "line", "another lens: pictures are less sharp"),
        Event((NEW_DEFECT - 1) * each, "line", f"a defect that nobody has seen before appears: {NEW_NAME}"),
    ]
    return list(enumerate(sorted([*line, *events], key=lambda one: one.index), start=1))


def _headline(parts: Sequence[Judged]) -> str:
    told = []
    for name, _, measure in MEASURES:
        before, now = measure(parts, "frozen"), measure(parts, "loop")
        told.append(f"<b>{name.lower()} {_percent(now)} instead of {_percent(before)}</b>")
    costs = " instead of ".join(f"{cost(parts, recipe):.0f}" for recipe in ("loop", "frozen"))
    told.append(f"<b>cost {costs} per 1,000 parts</b> (1 % defective, escape 50, overkill 2, review 1)")
    return (
        f"The same {len(parts):,} parts, judged by a recipe that stays as it was made, and by one that is kept right: "
        f"{', '.join(told)}."
    )


def _percent(rate: Rate) -> str:
    return f"{100 * (rate.value or 0):.1f} %"


def phases(year: Year, parts: Sequence[Judged]) -> list[tuple[str, list[Judged]]]:
    """The year's parts before the new lens, from then to the new defect, after it, and all."""
    limits = (0, LENS - 1, NEW_DEFECT - 1, MONTHS)
    names = ("before the new lens", "new lens", f"{NEW_NAME}, to the end of the year")
    found = [
        (name, [one for one in parts if low <= year.month(one.index) < high])
        for name, low, high in zip(names, limits, limits[1:], strict=False)
    ]
    return [*found, ("the whole year", list(parts))]


def _figures(year: Year, parts: Sequence[Judged]) -> str:
    head = "".join(f"<th>{name}: {TITLES[recipe]}</th>" for name, _, _ in MEASURES for recipe in RECIPES)
    rows = []
    for name, some in phases(year, parts):
        cells = ""
        for _, _, measure in MEASURES:
            for recipe in RECIPES:
                rate = measure(some, recipe)
                bounds = f"{100 * rate.lower:.1f} – {100 * rate.upper:.1f} %"
                cells += f"<td><b>{_percent(rate)}</b><br><small>{rate.count} of {rate.of}<br>{bounds}</small></td>"
        rows.append(f"<tr><td>{name}</td>{cells}</tr>")
    return f'<table class="figures"><tr><th></th>{head}</tr>{"".join(rows)}</table>'


def _chart(
    year: Year, parts: Sequence[Judged], measure: Measure, events: Sequence[tuple[int, Event]], marked: bool
) -> str:
    months = [[one for one in parts if int(year.month(one.index)) == month] for month in range(MONTHS)]
    rates = {recipe: [measure(some, recipe) for some in months] for recipe in RECIPES}
    highest = max(rate.value or 0 for some in rates.values() for rate in some)
    top = next(limit for limit in (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 1.0) if highest <= limit)
    step, above = (WIDE - LEFT - 10) / MONTHS, TOP + (20 if marked else 0)

    def x(month: float) -> float:
        return LEFT + step * month

    def y(share: float) -> float:
        return above + HIGH * (1 - min(share, top) / top)

    drawn = [f'<line class="axis" x1="{LEFT}" x2="{WIDE - 10}" y1="{y(v * top):.1f}" y2="{y(v * top):.1f}"/>'
             f'<text x="{LEFT - 6}" y="{y(v * top) + 4:.1f}" text-anchor="end">{100 * v * top:g} %</text>'
             for v in (0, 0.5, 1)]  # fmt: skip
    drawn += [
        f'<text x="{x(m + 0.5):.1f}" y="{above + HIGH + 16}" text-anchor="middle">{name}</text>'
        for m, name in enumerate(NAMES)
    ]
    drawn += _marks(year, events, x, above, marked)
    for recipe, aside in zip(RECIPES, (-4, 4), strict=True):
        points = [(x(m + 0.5) + aside, rate) for m, rate in enumerate(rates[recipe]) if rate.of]
        line = " ".join(f"{at:.1f},{y(rate.value or 0):.1f}" for at, rate in points)
        drawn.append(f'<polyline class="{recipe}" stroke-width="2.2" points="{line}"/>')
        for at, rate in points:
            middle, low, high = y(rate.value or 0), y(rate.lower), y(rate.upper)
            bounds = f'x1="{at:.1f}" x2="{at:.1f}" y1="{low:.1f}" y2="{high:.1f}"'
            drawn.append(f'<line class="{recipe}" stroke-width="5" opacity=".22" {bounds}/>')
            drawn.append(f'<circle class="{recipe} dot" r="3.2" cx="{at:.1f}" cy="{middle:.1f}"/>')
    return f'<svg viewBox="0 0 {WIDE} {above + HIGH + 24}" role="img">{"".join(drawn)}</svg>'


def _marks(
    year: Year, events: Sequence[tuple[int, Event]], x: Callable[[float], float], above: int, marked: bool
) -> list[str]:
    found, last = [], -100.0
    for number, one in events:
        at = x(year.month(one.index))
        if one.kind not in SHOWN:
            continue
        found.append(f'<line class="event" x1="{at:.1f}" x2="{at:.1f}" y1="{above - 2}" y2="{above + HIGH}"/>')
        if marked:
            last = at = max(at, last + 17)  # where many things happen at once, their numbers stand side by side
            found.append(f'<circle class="mark {one.kind}" cx="{at:.1f}" cy="{above - 12}" r="8"/>')
            where = f'x="{at:.1f}" y="{above - 8.5}" text-anchor="middle"'
            found.append(f'<text class="markno" {where}>{number}</text>')
    return found
