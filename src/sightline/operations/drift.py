"""Drift of the line: its records watched as they come, and how charts and alarms stand."""

from __future__ import annotations

import logging
import math
import threading
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from sightline.core.card import Card
from sightline.core.errors import InputError
from sightline.improve.causes import CAUSES
from sightline.improve.charts import CHARTED, LEARNED, NAMES, PLACE, Charts, Usual
from sightline.improve.drift import Watch
from sightline.operations.repeating import repeat
from sightline.store.alarms import OPEN, Alarm
from sightline.store.store import Store, StoreLocation

EVERY_S = 10.0  # between two looks at what has been recorded
AT_ONCE = 500  # records in one transaction
MOST = 20_000  # records in one call: whoever asked wants to be heard in between
FIRST = 5000  # of the newest records, where none were looked at before
ALARMS = 500  # the newest, which say what was acknowledged and accepted
SHOWN = 50  # alarms
LOGARITHMS = ("brightness", "sharpness", "noise", "red", "blue")
UNITS = {"shift_x": "%", "shift_y": "%", "turn": "°", "scale": "%", **dict.fromkeys(LOGARITHMS, "%")}
LOG = logging.getLogger("sightline.drift")


@dataclass(frozen=True, slots=True)
class Chart:
    """A control chart: how far its sums stand towards their limits (1: there), the exponentially weighted mean in
    deviations and, where the measure has one, in `unit`, and its newest points (down, up), one for ten parts.
    """

    name: str
    down: float
    up: float
    deviations: float | None
    change: float | None
    unit: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class ViewCharts:
    """The charts of one view of a station with one recipe. `reference`: training, production, or learning, of whose
    `needed` OK parts `learned` have come.
    """

    station: str
    view: str
    recipe_hash: str
    parts: int
    updated: datetime
    reference: str
    learned: int
    needed: int
    charts: tuple[Chart, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """An alarm in words: what it looks like and what to do."""

    alarm: Alarm
    what: str
    remedy: str
    figures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class State:
    """Alarms, the newest first, and charts, those that moved last first."""

    alarms: tuple[Told, ...]
    views: tuple[ViewCharts, ...]


def drift(location: StoreLocation, station: str | None = None) -> State:
    """How charts and alarms stand after all records. Raises StoreError, and InputError for an unknown station."""
    with Store.open(*location, create=False) as store:
        while watch(store) == MOST:
            pass
        found = state(store, station)
        if station is not None and not found.views:
            known = ", ".join(sorted({one.station for one in state(store).views})) or "none"
            raise InputError(f"there are no charts of a station {station}. Stations with charts: {known}")
        return found


def watch(store: Store) -> int:
    """Move the charts on by what has been recorded since the last time, and raise alarms; how many records it were.

    Several programs may do it at once: what one has done, the others leave. Raises StoreError.
    """
    alarms, before = store.alarms, store.alarms.mark()
    newest, count = store.inspections.newest_id(), 0
    begin = max(0, newest - FIRST) if before is None else before
    if newest <= begin:
        return 0
    charts = {one.key: Charts.of_json(one.state) for one in alarms.charts()}
    watching = Watch(charts, alarms.page(limit=ALARMS), lambda hash: _card(store, hash))
    while count < MOST and (records := store.inspections.recorded_after(begin, AT_ONCE)):
        watching.see(records)
        begin = records[-1].id or begin
        moved = {key: watching.charts[key].to_json() for key in watching.moved}
        if not alarms.advance(before, begin, moved, watching.raised):
            return 0
        before, count = begin, count + len(records)
        watching.moved.clear()
        watching.raised.clear()
    alarms.find_pictures()
    return count


def follow(store: Store, stopping: threading.Event) -> None:
    """Watch until `stopping` is set. A store that cannot be used is waited for."""
    repeat(watch, store, EVERY_S, stopping, LOG, "drift is not watched")


def state(store: Store, station: str | None = None) -> State:
    """How charts and alarms stand, of all stations or of one."""
    watching = Watch({}, (), lambda hash: _card(store, hash))
    views = []
    for stored in store.alarms.charts(station):
        chart = watching.charts[stored.key] = Charts.of_json(stored.state)
        usual = watching.usual(stored.key)
        views.append(
            ViewCharts(
                *stored.key,
                chart.parts,
                stored.updated,
                "learning" if usual is None else usual.source,
                int(chart.learned.max()),
                LEARNED,
                () if usual is None else _charts(chart, usual),
            )
        )
    return State(tuple(tell(alarm) for alarm in store.alarms.page(None, station, limit=SHOWN)), tuple(views))


def tell(alarm: Alarm) -> Told:
    """An alarm in words."""
    cause = CAUSES.get(alarm.cause)
    measures = alarm.figures.get("measures", {})
    crossed = [name for name in alarm.figures.get("crossed", ()) if name in measures]
    said = tuple(_said(name, measures[name]["change"], measures[name]["deviations"]) for name in crossed)
    if surplus := alarm.figures.get("surplus"):
        bound = f"usually at most {100 * surplus['usual']:.2g} %"
        said = (*said, f"{surplus['not_ok']} of {surplus['of']} parts were not OK, {bound}")
    return Told(alarm, cause.what if cause else alarm.cause, cause.remedy if cause else "", said)


def open_alarms(store: Store, station: str | None = None) -> tuple[Told, ...]:
    """Alarms that nobody has acknowledged."""
    return tuple(tell(alarm) for alarm in store.alarms.page(OPEN, station, limit=SHOWN))


def _said(name: str, change: float, deviations: float) -> str:
    value = _in_unit(name, change)
    unit = UNITS.get(name, "")
    return f"{name.replace('_', ' ')} {value:+.3g}{' ' * (unit == '%')}{unit} ({deviations:+.1f} deviations)"


def _in_unit(name: str, change: float) -> float:
    return 100 * math.expm1(change) if name in LOGARITHMS else change


def _charts(chart: Charts, usual: Usual) -> tuple[Chart, ...]:
    standing, moved = chart.standing(), chart.now * usual.unit
    found = []
    for index, name in enumerate(NAMES):
        charted = index < len(CHARTED)
        worst = float(chart.now[len(CHARTED) :][abs(chart.now[len(CHARTED) :]).argmax()]) if name == PLACE else None
        found.append(
            Chart(
                name,
                round(float(standing[index, 0]), 3),
                round(float(standing[index, 1]), 3),
                round(float(chart.now[index]), 2) if charted else worst,
                round(_in_unit(name, float(moved[index])), 3) if charted else None,
                UNITS.get(name, ""),
                tuple((round(float(down), 3), round(float(up), 3)) for down, up in chart.history[:, index]),
            )
        )
    return tuple(found)


def _card(store: Store, hash: str) -> Card | None:
    """The card of a recipe that the store has; None of another, and of one that says nothing of its looks."""
    try:
        found = store.recipes.find(hash)
    except InputError:
        return None
    if not found.card.get("appearance") or found.hash != hash:
        return None
    try:
        return Card.model_validate(found.card)
    except ValidationError as error:
        LOG.warning("the card of recipe %s cannot be read: %s", hash[:12], error)
        return None
