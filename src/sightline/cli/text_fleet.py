"""What commands about many stations print."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightline.evaluate.statistics.intervals import Rate
    from sightline.operations.fleet import FleetFigures, StationFigures
    from sightline.operations.planning import Plan

CLOCK_S = 60.0  # off by more, it is said


def stations(found: FleetFigures) -> str:
    """All stations, a line each with what is wrong below it, and products compared."""
    if not found.stations:
        return "no station has sent or recorded anything here"
    wide = max(len(one.station) for one in found.stations)
    lines = [
        f"{'station':{wide}}  {'parts':>9}  {'NG (95 % interval)':24}  {'REVIEW':8}  {'heard':>9}  {'waiting':>8}  "
        "recipe"
    ]
    for one in found.stations:
        recipe = ", ".join(
            f"{r.hash[:8]}{' signed' if r.signed else ''}{' (behind)' if r.behind else ''}" for r in one.recipes
        )
        heard, waiting = _ago(one.heard), f"{one.waiting:,}" if one.sends else "-"
        lines.append(
            f"{one.station:{wide}}  {one.parts:>9,}  {_share(one.ng):24}  {_percent(one.review.value):8}  {heard:>9}  "
            f"{waiting:>8}  {recipe or '-'}"
        )
        lines += [f"{'':{wide}}  ! {what}" for what in _wrong(one)]
    for product in found.products:
        told = (
            "cannot be compared"
            if product.p_value is None
            else (
                f"NG differs between {len(product.shares)} stations by more than chance (p {_p(product.p_value)})"
                if product.p_value < 0.05
                else f"no difference of NG between {len(product.shares)} stations is shown (p {_p(product.p_value)})"
            )
        )
        lines.append(f"{product.product}: {told}")
    return "\n".join(lines)


def stations_json(found: FleetFigures) -> dict[str, Any]:
    """The same as plain values."""
    told = dataclasses.asdict(found)
    for one in told["stations"]:
        one["heard"] = one["heard"] and one["heard"].isoformat()
    return told


def plan(found: Plan) -> str:
    """What a plant needs, and the unit costs with their sources."""
    asked = found.asked
    needs = (("each station", found.station), ("the server", found.server))
    lines = [
        f"{asked.lines:,} lines, a part each {asked.takt_s:g} s, {asked.hours:g} h on {asked.days:g} days a year: "
        f"{found.rows_a_year:,} records and {found.pictures_a_year:,} pictures a year",
        "",
        f"{'':13}{'cores (busy)':>14}{'memory':>10}{'records a year':>17}{'pictures a year':>17}{'network':>15}",
    ]
    lines += [
        f"{name:13}{f'{need.cores} ({need.busy:.2f})':>14}{f'{need.memory_mb:,} MB':>10}"
        f"{_disk(need.records_gb_a_year):>17}{_disk(need.pictures_gb_a_year):>17}"
        f"{f'{need.network_mbit_s:,.2f} Mbit/s':>15}"
        for name, need in needs
    ]
    lines += [
        "",
        f"database: {found.database}",
        f"{asked.offline_days:g} days without network: {found.offline_mb:,.0f} MB wait at each station (most_mb); the "
        f"records of all are taken over within {_minutes(found.catch_up_minutes)}, pictures take longer",
        "",
        "Pictures are counted for a whole year; how long they stay is keep_days in a station's file. Records stay.",
        "",
        "unit costs:",
    ]
    lines += [f"  {one.value:>8,g} {one.unit} ({one.source})" for one in found.costs.values()]
    return "\n".join(lines)


def _disk(gb: float) -> str:
    return f"{gb / 1000:,.1f} TB" if gb >= 1000 else f"{gb:,.1f} GB"


def _minutes(minutes: float) -> str:
    if not math.isfinite(minutes):
        return "never: one server is not enough"
    return f"{minutes:,.0f} minutes" if minutes < 120 else f"{minutes / 60:,.1f} hours"


def _wrong(one: StationFigures) -> list[str]:
    found = [f"alarm: {cause}" for cause in one.alarms]
    found += [f"{r.product}: {r.fault}" for r in one.recipes if r.fault]
    if one.offset_s is not None and abs(one.offset_s) > CLOCK_S:
        side = "ahead of" if one.offset_s > 0 else "behind"
        found.append(f"its clock is {abs(one.offset_s) / 3600:.1f} h {side} the server's. Set it")
    if one.missing:
        found.append(f"{one.missing:,} records never came; they may be in the station's own store")
    if one.refused:
        found.append(f"{one.refused:,} records could not be kept; the audit says why")
    if one.other:
        found.append(f"another computer tried to send as this station ({one.other[:16]})")
    return found


def _share(rate: Rate) -> str:
    if rate.value is None:
        return "-"
    return f"{_percent(rate.value)} ({100 * rate.lower:.2f} to {_percent(rate.upper)})"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "below 0.001"


def _ago(moment: datetime | None) -> str:
    if moment is None:
        return "never"
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
