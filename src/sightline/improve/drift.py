"""Drift: the line's records in the order in which they were kept, to charts, to alarms with their cause.

The clock of a station does not matter: records are taken by their numbers. Each view of a station has charts of its own
for every recipe, so that a changeover mixes nothing; its first parts are passed over, while a fixture settles. Parts
that test the line, those that were not inspected, and what shadow recipes found count nowhere.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sightline.core.card import MEASURES, PLACES, Card
from sightline.core.result import Verdict
from sightline.improve.causes import DEFECTS, name_cause
from sightline.improve.charts import CHARTED, Charts, Drift, Seen, Usual
from sightline.store.alarms import ACKNOWLEDGED, OPEN, Alarm, Key, NewAlarm
from sightline.store.inspections import Record

SETTLING = 10  # parts after a changeover that count nowhere
HANDLED = 2000  # inspections after somebody has acknowledged an alarm, in which its cause raises no other there

CardOf = Callable[[str], Card | None]  # of a recipe by its hash; None where the store does not have it


def read_part(record: Record) -> Iterator[tuple[Key, Seen]]:
    """What a record says of each view of its part; nothing of parts that do not count or were not inspected."""
    if not record.counts or record.error or record.id is None:
        return
    views = record.details.get("views")
    if not isinstance(views, list):
        return
    for view in views:
        if not isinstance(view, dict) or not isinstance(view.get("recipe_hash"), str):
            continue
        p_value = view.get("p_value", record.p_value if len(views) == 1 else None)
        yield (
            (record.station, str(view.get("view", "")), view["recipe_hash"]),
            Seen(record.id, _values(view), _number(p_value), view.get("verdict") == str(Verdict.OK)),
        )


def _values(view: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(112,) by `charts.CHARTED` and place; NaN for what is not there, is no number, or is damaged."""
    told = view.get("appearance")
    told = told if isinstance(told, dict) else {}
    measures = told.get("measures")
    whole = isinstance(measures, list) and len(measures) == len(MEASURES)
    found = (
        [_number(value) for value in measures] if whole and isinstance(measures, list) else [math.nan] * len(MEASURES)
    )
    try:
        places = np.frombuffer(base64.b64decode(str(told.get("places", "")), validate=True), np.uint8)
    except binascii.Error:
        places = np.zeros(0, np.uint8)
    cells = places.astype(np.float64) if places.size == PLACES**2 else np.full(PLACES**2, math.nan)
    return np.array([*found, _number(view.get("score")), _number(view.get("ood_distance")), *cells])


def _number(value: Any) -> float:
    fine = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if fine else math.nan


class Watch:
    """Moves charts on by records. `charts` are those that stand already, `alarms` those that were raised.

    After `see`, `moved` are the charts that have moved, and `raised` the new alarms.
    """

    def __init__(self, charts: Mapping[Key, Charts], alarms: Iterable[Alarm], card_of: CardOf) -> None:
        self.charts = dict(charts)
        self.moved: set[Key] = set()
        self.raised: list[NewAlarm] = []
        self._card_of = card_of
        self._cards: dict[str, Usual | None] = {}
        self._alarms: dict[Key, list[Alarm]] = {}
        self._drifting: set[Key] = set()
        for alarm in alarms:
            self._alarms.setdefault(alarm.key, []).append(alarm)
            if alarm.state == OPEN and alarm.cause != DEFECTS.name:
                self._drifting.add(alarm.key)
        # By station and view: the recipe that runs, and how many of its parts have come since the changeover.
        self._running = {key[:2]: (key[2], one.settled) for key, one in sorted(charts.items(), key=_last)}

    def see(self, records: Sequence[Record]) -> None:
        """Take records in the order of their numbers."""
        for record in records:
            for key, seen in read_part(record):
                self._take(key, seen)

    def usual(self, key: Key) -> Usual | None:
        """Where good parts of these charts lie: by the recipe's card, or else by the line's own first parts, or by
        those since a person has accepted how it is; None while these are too few.
        """
        chart = self.charts.get(key, Charts())
        if key[2] not in self._cards:
            card = self._card_of(key[2])
            self._cards[key[2]] = None if card is None else Usual.of_card(card)
        told = self._cards[key[2]]
        return chart.usual_here() if told is None or chart.accepted else told

    def _take(self, key: Key, seen: Seen) -> None:
        chart = self.charts.setdefault(key, Charts())
        self.moved.add(key)
        recipe, count = self._running.get(key[:2], (key[2], SETTLING))
        chart.settled = min(count + 1, SETTLING + 1) if recipe == key[2] else 1
        self._running[key[:2]] = key[2], chart.settled
        accepted = max((one.at or 0 for one in self._alarms.get(key, ()) if one.accepted), default=0)
        if chart.accepted < accepted < seen.number:
            chart = self.charts[key] = Charts(parts=chart.parts, settled=chart.settled, accepted=accepted)
        if chart.settled <= SETTLING:
            return
        usual, surplus = self.usual(key), chart.count_defects(seen)
        if usual is None:
            chart.learn(seen)
        elif (drift := chart.add(seen, usual)) is not None:
            self._raise(key, name_cause(drift).name, drift.since, seen.number, figures(drift, usual, chart))
        if surplus is not None and key not in self._drifting:  # else it is known why
            told = {"not_ok": surplus.not_ok, "of": surplus.of, "usual": round(surplus.usual, 5)}
            self._raise(key, DEFECTS.name, surplus.since, seen.number, {"surplus": told})

    def _raise(self, key: Key, cause: str, since: int, number: int, told: dict[str, Any]) -> None:
        if not self._handled(key, cause, number):
            self.raised.append(NewAlarm(key, cause, since, number, told))
            if cause != DEFECTS.name:
                self._drifting.add(key)

    def _handled(self, key: Key, cause: str, number: int) -> bool:
        """Whether somebody has acknowledged this cause lately."""
        times = (one.at for one in self._alarms.get(key, ()) if one.cause == cause and one.state == ACKNOWLEDGED)
        return any(at is not None and 0 < number - at <= HANDLED for at in times)


def figures(drift: Drift, usual: Usual, chart: Charts) -> dict[str, Any]:
    """What is kept of a drift: the charts that crossed their limits, how far each measure has moved in deviations and
    in its own unit, where it lay, and the share of parts that were not OK, lately and in all.
    """
    moved = drift.deviations * usual.unit
    measures = {
        name: {
            "deviations": round(float(drift.deviations[index]), 2),
            "change": round(float(moved[index]), 4),
            "usual": round(float(usual.mean[index]), 4),
        }
        for index, name in enumerate(CHARTED)
    }
    places = drift.deviations[len(CHARTED) :]
    worst = int(np.abs(places).argmax())
    return {
        "crossed": list(drift.crossed),
        "measures": measures,
        "place": {"row": worst // PLACES, "column": worst % PLACES, "deviations": round(float(places[worst]), 2)},
        "reference": usual.source,
        "not_ok": {"lately": round(chart.lately, 4), "in_all": round(chart.not_ok / max(1, chart.parts), 4)},
    }


def _last(pair: tuple[Key, Charts]) -> int:
    return pair[1].last
