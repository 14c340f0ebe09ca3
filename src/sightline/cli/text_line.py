"""What the commands of the line tell a person, and the table of a simulated line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from sightline.improve.rates import Estimate, LiveRates
    from sightline.line.settings import StationSettings
    from sightline.line.simulation import Tally
    from sightline.operations.drift import Chart, State, ViewCharts
    from sightline.operations.improving import Improved
    from sightline.operations.learning import Harmless, Learned
    from sightline.operations.line import Watch
    from sightline.operations.transfer import Transferred
    from sightline.store.adaptations import StoredAdaptation
    from sightline.store.rollouts import Assignment, Rollout
    from sightline.store.schedules import Schedule


def station(settings: StationSettings) -> str:
    """A station's settings in a line."""
    recipes = ", ".join(f"{recipe.name} ({recipe.id})" for recipe in settings.recipes)
    views = ", ".join(f"{view.name} ({view.camera.get('kind')})" for view in settings.views)
    return (
        f"{settings.name}: views {views}; recipes {recipes}; controller {settings.controller.get('kind')}; "
        f"deadline {settings.deadline_ms:g} ms; {settings.mode}"
    )


def station_json(settings: StationSettings) -> str:
    """A station's settings as JSON; a password in the database's address is left out."""
    from sightline.store.database import locate, masked

    address = settings.database
    hidden = address if not address or "://" not in address else masked(locate(address))
    return settings.model_copy(update={"database": hidden}).model_dump_json()


@contextmanager
def table() -> Iterator[Watch]:
    """A table on stderr that follows a simulated line, as a function of its stations and of what was done to it."""
    from rich.console import Console, Group
    from rich.live import Live

    live = Live(console=Console(stderr=True), refresh_per_second=4)

    def watch(stations: Sequence[Tally], events: Sequence[str]) -> None:
        live.start()
        live.update(Group(*(_rows(tally) for tally in stations), *events[-6:]))

    try:
        yield watch
    finally:
        live.stop()


def _rows(tally: Tally) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    figures = tally.figures()
    share = f"{figures['yield']:.1%}" if figures["yield"] is not None else "none yet"
    head = (
        f"{tally.station}: {figures['parts']} parts, accepted {figures['accepted']} ({share}), NG {figures['NG']}, "
        f"REVIEW {figures['REVIEW']}, no answer {figures['no answer']}, late {figures['late']}\n"
        f"trigger to verdict: {_times(figures)}"
    )
    table = Table(expand=False)
    for column in ("part", "verdict", "ms", "PLC", "why"):
        table.add_column(column, justify="right" if column == "ms" else "left")
    colours = {"OK": "green", "NG": "red", "REVIEW": "yellow"}
    for part in reversed(list(tally.last)):
        verdict = str(part.verdict or "-")
        ms = "-" if part.ms is None else f"{part.ms:.1f}"
        why = part.trouble or ("late" if part.late else f"error {part.error}" if part.error else "")
        colour = colours.get(verdict, "magenta")
        table.add_row(part.part_id, f"[{colour}]{verdict}[/]", ms, "accept" if part.accepted else "reject", why)
    return Group(Text(head), table)  # a title would wrap at the table's width


def simulate(figures: dict[str, Any]) -> str:
    """What came of it, for people."""
    lines = []
    for one in figures["stations"]:
        lines.append(
            f"{one['station']}: {one['parts']} parts: OK {one['OK']}, NG {one['NG']}, REVIEW {one['REVIEW']}, "
            f"no answer {one['no answer']}; late {one['late']}; {_times(one)}"
        )
    return "\n".join([*lines, *figures["faults"], f"Records, logs and settings: {figures['folder']}"])


def _times(figures: dict[str, Any]) -> str:
    return f"p50 {figures['ms_p50']:.1f} ms, p99 {figures['ms_p99']:.1f} ms, max {figures['ms_max']:.1f} ms"


def drift(found: State) -> str:
    """Alarms with what to do, and the charts nearest to their limits, for people."""
    lines = []
    for told in found.alarms:
        alarm = told.alarm
        head = f"alarm {alarm.id}, {alarm.station}, view {alarm.view}, {alarm.created:%Y-%m-%d %H:%M} UTC: {told.what}"
        done = f"acknowledged by {alarm.author}: {alarm.note or 'no note'}" if alarm.author else f"To do: {told.remedy}"
        moved = f"since about inspection {alarm.since}: {'; '.join(told.figures) or 'scores and distances'}"
        lines += [head, f"  {moved}", f"  {done}"]
    for view in found.views:
        lines.append(
            f"{view.station}, view {view.view}, recipe {view.recipe_hash[:12]}: {view.parts} parts, " + _usual(view)
        )
        lines += [f"  {chart.name:<10} {max(chart.down, chart.up):4.0%} of its limit" for chart in _nearest(view)]
    return "\n".join(lines) or "No charts yet: they begin with the first records that a station writes into this store"


def _usual(view: ViewCharts) -> str:
    if view.reference == "learning":
        why = "its recipe is not in this store, or does not say it"
        return f"{view.learned} of the {view.needed} OK parts that tell what is usual: {why}"
    return "compared with " + ("the training" if view.reference == "training" else "the line's own first parts")


def _nearest(view: ViewCharts) -> list[Chart]:
    return sorted(view.charts, key=lambda chart: -max(chart.down, chart.up))[:5]


def drift_json(found: State) -> dict[str, Any]:
    """The same as plain JSON values."""
    from dataclasses import asdict

    told = asdict(found)
    for one in told["alarms"]:
        one["alarm"] |= {name: _moment(one["alarm"][name]) for name in ("created", "acknowledged")}
    for view in told["views"]:
        view["updated"] = _moment(view["updated"])
    return told


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def calibrate(figures: dict[str, Any]) -> str:
    """The figures for people."""
    if "board" in figures:
        size = f"{figures['width_mm']:g} x {figures['height_mm']:g} mm"
        return f"{figures['board']}: print it unscaled ({size}), and check one square: {figures['square_mm']:g} mm"
    scale, corners, error_px = figures["mm_per_px"], figures["corners"], figures["error_px"]
    lines = [f"{scale:.5f} mm per px, from {corners} corners ({error_px:.2f} px error)"]
    if figures["askew"]:
        lines.append(
            f"The scale differs by {figures['range']:.1%} over the board: the camera is tilted, so measures depend "
            "on the place. Straighten it and calibrate again"
        )
    lines.append(f"Put it into the station's view (mm_per_px = {scale}), or train with --set mm_per_px={scale}")
    return "\n".join(lines)


def learned(found: Learned) -> str:
    """What came of a round of self-learning."""
    done, change = found.round, found.change
    head = f"{found.station}, recipe {found.recipe_hash[:12]}: {done.reason}"
    lines = [f"{done.parts} good parts score {done.score:.2f} in the mean; {done.usual:.2f} when the recipe was made"]
    if done.added or done.unsupported or done.near_defect:
        lines.append(
            f"{done.added} patches would join; {done.unsupported} were shared by too few parts, "
            f"{done.near_defect} look like a known defect"
        )
    if done.canary is not None:
        lines.append(
            f"canary: {done.canary.defective} known defective and {done.canary.good} good parts judged with it, "
            f"{len(done.canary.lost)} defects would pass"
        )
    if change is not None:
        waits = "" if change.state == "active" else f"; admit it: sightline learning decide {change.id} --admit"
        lines.append(f"change {change.id} is {change.state}{waits}")
    return "\n  ".join([head, *lines])


def harmless(found: Harmless) -> str:
    """What would come, or has come, of calling a part harmless."""
    turned = [f"inspection {one['inspection']}: {one['before']} would be {one['after']}" for one in found.changed]
    lines = [found.round.reason, f"of {found.looked_at} kept parts, {len(turned)} would get another verdict", *turned]
    if found.change is not None:
        lines.append(f"change {found.change.id} is active. Take it back: sightline learning undo {found.change.id}")
    return "\n  ".join(lines)


def change(one: StoredAdaptation) -> str:
    """One change of what a station has learned, on a line."""
    added = f", {one.details['added']} patches" if "added" in one.details else ""
    note = f": {one.note}" if one.note else ""
    by = one.author or "nobody named"
    return f"{one.id}  {one.created:%Y-%m-%d %H:%M} UTC  {one.station}  {one.kind}{added}  {one.state}  by {by}{note}"


def change_json(one: StoredAdaptation) -> dict[str, Any]:
    """The same as plain JSON values."""
    return {**{name: getattr(one, name) for name in type(one).__slots__}, "created": one.created.isoformat()}


def rollout(one: Rollout, assigned: Sequence[Assignment]) -> str:
    """A rollout, and what its stations run."""
    lines = [f"{one.id:>4}  {one.product}  {one.recipe_hash[:12]}  {one.state}  {one.author}  {one.reason or one.note}"]
    for number, name in enumerate(one.stations):
        row = next((row for row in assigned if row.station == name), None)
        runs = "waits for its turn" if row is None else f"runs {(row.running_hash or '-')[:12]}"
        lines.append(f"      {name}{' (canary)' * (number == 0)}: {row.fault if row and row.fault else runs}")
    return "\n".join(lines)


def rollout_json(one: Rollout, assigned: Sequence[Assignment]) -> dict[str, Any]:
    """The same as plain JSON values."""
    told = {**_plain(one), "stations": list(one.stations), "before": dict(one.before)}
    return {**told, "assignments": [_plain(row) for row in assigned]}


def schedule(one: Schedule) -> str:
    """When a product's recipe is improved."""
    when = [f"{one.labels} new labels"] if one.labels is not None else []
    when += [f"{one.days:g} days"] if one.days is not None else []
    when += ["an alarm"] if one.drift else []
    return (
        f"{one.product}: improved after {' or '.join(when)}, counted from {one.begun:%Y-%m-%d %H:%M} UTC ({one.author})"
    )


def schedule_json(one: Schedule) -> dict[str, Any]:
    """The same as plain JSON values."""
    return _plain(one)


def _plain(one: Rollout | Assignment | Schedule) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in type(one).__slots__}
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in values.items()}


def rates(found: LiveRates) -> str:
    """Rates of the running line, with what they rest on."""
    lines = [
        f"{'defective parts judged OK (escape)':38}{_estimate(found.escape)}",
        f"{'good parts judged NG (overkill)':38}{_estimate(found.overkill)}",
        f"{'defective among parts judged OK':38}{_estimate(found.shipped)}",
    ]
    for one in found.strata:
        lines.append(
            f"{one.verdict}: {one.parts} parts, {one.good + one.defective} answered, {one.defective} defective"
        )
    if not found.spot_checked:
        lines.append("No OK part was looked at, so escapes are unknown: set review_ok = 0.01 in the station's file")
    return "\n".join(lines)


def _estimate(one: Estimate) -> str:
    value = "unknown" if one.value is None else f"{one.value:.3%}"
    return f"{value:>10}   between {one.lower:.3%} and {one.upper:.3%}"


def transferred(done: Transferred) -> str:
    """What a recipe needs at another station."""
    found = done.found
    lines = [f"{done.station}: {found.answer.upper()}", found.reason, f"{found.as_it_is} of {found.parts} OK as it is"]
    if found.recalibrated is not None:
        gains = ", ".join(f"{value:.2f}" for value in found.gain)
        lines.append(f"{found.recalibrated} of {found.parts} OK after it, held out; gains of red, green, blue {gains}")
    if found.canary is not None:
        lines.append(
            f"{found.canary.defective} known defective parts were judged with it, {len(found.canary.lost)} would pass"
        )
    if done.change is not None:
        lines.append(f"change {done.change.id} is active there. Take it back: sightline learning undo {done.change.id}")
    return "\n  ".join(lines)


def improved(done: Improved) -> str:
    """What was learned from people's answers, and what may be done with it."""
    lines = [
        f"{done.challenger[:12]} learned from {done.version}, {done.learned} labels of it new; state: {done.state}"
    ]
    if done.decision is None:
        lines.append("there was no recipe to compare it with, so it is a candidate. Evaluate it, then promote it")
        return "\n  ".join(lines)
    lines += [f"{done.decision.answer}:", *(f"- {reason}" for reason in done.decision.reasons)]
    for name, one in (("champion", done.decision.champion), ("challenger", done.decision.challenger)):
        told = ", ".join(
            f"{what} {rate.count} of {rate.of} ({rate.lower:.1%} to {rate.upper:.1%})"
            for what, rate in (("escapes", one.escapes), ("overkill", one.overkills), ("reviews", one.reviews))
        )
        lines.append(f"{name}: {told}")
    return "\n  ".join(lines)
