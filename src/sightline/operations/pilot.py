"""A pilot on the line: begun with targets and prices, followed in words, ended with a decision and its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from typing import Any, get_args

import sightline
from sightline.core.errors import ConflictError, InputError
from sightline.core.result import Verdict
from sightline.evaluate.prices import Prices
from sightline.improve.pilot import Criterion, Exit, Standing, Targets, standing
from sightline.improve.rates import LiveRates, live_rates
from sightline.operations import signing
from sightline.operations.opening import author as who
from sightline.operations.opening import opened_store
from sightline.store.inspections import Filter
from sightline.store.records import Record
from sightline.store.review_figures import Stratum
from sightline.store.store import Store, StoreLocation

Where = Store | StoreLocation
RECENT = timedelta(days=1)
ALARMS = 1000  # of a station, the newest; each stops the line once, at the price that a stop has
STEPS = 8  # of a pilot's history


def begin(
    where: Where, station: str, targets: Targets, author: str = "", note: str = "", shadow: bool = False
) -> dict[str, Any]:
    """Begin a pilot at a station, of its recipe or, with `shadow`, of the one that runs in shadow there. Entry criteria
    that are not met need a note that says why it begins all the same.

    Raises ConflictError for a pilot that runs already, criteria that are not met, or a station without a shadow.
    """
    with opened_store(where) as store:
        if (running := _running(store, station)) is not None:
            raise ConflictError(f"{station} has a pilot already, since {running.created:%Y-%m-%d}. End it first")
        recipe = _shadow(store, station) if shadow else None
        if shadow and recipe is None:
            raise ConflictError(f"no recipe has run in shadow at {station} within a day. Set one in the station's file")
        criteria = _criteria(store, station, recipe)
        missing = [f"{one.name} ({one.why})" for one in criteria if not one.met]
        if missing and not note.strip():
            told = "; ".join(missing)
            raise ConflictError(
                f"{station} is not ready for a pilot: {told}. Mend it, or say with --note why it begins"
            )
        content = {
            "station": station, "targets": {**targets.to_json(), "prices": asdict(targets.prices)}, "note": note,
            "criteria": [one.to_json() for one in criteria], "shadow": recipe, "software": sightline.__version__,
        }  # fmt: skip
        kept = store.records.add("pilot", _subject(station), f"Pilot at {station}: beginning", content, author or who())
        return _told(store, kept)


def entry(where: Where, station: str, shadow: bool = False) -> dict[str, Any]:
    """What has to be so before a pilot begins at a station: its criteria, and the recipe in shadow there, if any."""
    with opened_store(where) as store:
        recipe = _shadow(store, station)
        found = _criteria(store, station, recipe if shadow else None)
        return {"station": station, "shadow": recipe, "criteria": [one.to_json() for one in found]}


def pilots(where: Where, limit: int = 200) -> list[dict[str, Any]]:
    """The newest beginnings and ends of pilots, the newest first, with what was agreed."""
    with opened_store(where) as store:
        return [_told(store, one) for one in store.records.page("pilot", limit=limit)]


def status(where: Where, station: str) -> dict[str, Any]:
    """How the pilot of a station stands, by the line's own record and what people said. Raises NotFoundError."""
    with opened_store(where) as store:
        begun = _must_run(store, station)
        stood = _stood(store, begun)
        now, rates, _ = stood[-1]
        return {
            **now.to_json(),
            "history": _history([one for one, *_ in stood]),
            "sentence": now.sentence(),
            "rates": rates.to_json(),
            "begun": begun.created.isoformat(),
            "record": begun.id,
            "shadow": begun.content.get("shadow"),
            "targets": begun.content["targets"],
        }


def end(where: Where, station: str, decision: Exit, author: str = "", note: str = "") -> dict[str, Any]:
    """End a pilot with a decision: scale, redesign or stop. Its record has the evidence; people sign it.

    A decision against the advice needs a note. Raises InputError, ConflictError.
    """
    if decision not in get_args(Exit) or decision == "go on":
        raise InputError(f"'{decision}' is no exit. A pilot ends with: scale, redesign or stop")
    with opened_store(where) as store:
        begun = _must_run(store, station)
        now, rates, until = _stands(store, begun)
        if decision != now.advice and not note.strip():
            raise ConflictError(f"the advice is: {now.advice} ({now.why}). Say with --note why you decide otherwise")
        content = {
            **{key: begun.content[key] for key in ("station", "targets", "criteria")},
            "shadow": begun.content.get("shadow"), "begin": begun.id, "note": note,
            "decision": decision, "standing": now.to_json(), "sentence": now.sentence(), "rates": rates.to_json(),
            "from": f"{begun.created:%Y-%m-%d %H:%M}", "until": f"{until:%Y-%m-%d %H:%M}",
            "software": sightline.__version__,
        }  # fmt: skip
        kept = store.records.add(
            "pilot", _subject(station), f"Pilot at {station}: {decision}", content, author or who()
        )
        return _told(store, kept)


def _told(store: Store, record: Record) -> dict[str, Any]:
    return signing.to_json(record, store.records.signatures(record.id))


def _subject(station: str) -> str:
    return f"pilot {station}"


def _running(store: Store, station: str) -> Record | None:
    newest = next(iter(store.records.page(subject=_subject(station), limit=1)), None)
    return None if newest is None or "decision" in newest.content else newest


def _must_run(store: Store, station: str) -> Record:
    found = _running(store, station)
    if found is None:
        raise ConflictError(f"{station} has no pilot. Begin one with: sightline pilot begin {station}")
    return found


def _stands(store: Store, begun: Record) -> tuple[Standing, LiveRates, datetime]:
    return _stood(store, begun)[-1]


def _stood(store: Store, begun: Record) -> list[tuple[Standing, LiveRates, datetime]]:
    """How a pilot has stood after each share of its time, by the parts until then and their answers; now at last."""
    given = dict(begun.content["targets"])
    targets = Targets(**{**given, "prices": Prices(**given["prices"])})
    station, recipe = begun.content["station"], begun.content.get("shadow")
    # A recipe in shadow stops nothing.
    alarms = () if recipe else store.alarms.page(station=station, limit=ALARMS)
    step = (datetime.now(UTC) + timedelta(seconds=1) - begun.created) / STEPS
    moments = [begun.created + number * step for number in range(STEPS + 1)]
    if recipe is None:
        spans = [store.review_figures.strata(since, until, station) for since, until in pairwise(moments)]
    else:
        spans = list(store.review_figures.shadow_strata(moments, station, recipe))
    found = []
    for until, so_far in zip(moments[1:], accumulate(spans, lambda *both: tuple(map(_sum, *both))), strict=True):
        rates = live_rates(so_far)
        stops = sum(begun.created <= one.created < until for one in alarms)
        found.append((standing(targets, rates, stops), rates, until))
    return found


def _sum(one: Stratum, other: Stratum) -> Stratum:
    parts, good, defective = one.parts + other.parts, one.good + other.good, one.defective + other.defective
    return replace(one, parts=parts, good=good, defective=defective)


def _history(stood: Sequence[Standing]) -> list[dict[str, Any]]:
    """How the bounds have closed in, wherever parts have come."""
    return [
        {"parts": one.parts, "goals": {goal.name: goal.estimate.to_json() for goal in one.goals}}
        for number, one in enumerate(stood)
        if one.parts and (number == 0 or one.parts > stood[number - 1].parts)
    ]


def _shadow(store: Store, station: str) -> str | None:
    """The recipe that runs in shadow at a station now."""
    wanted = Filter(station=station, since=datetime.now(UTC) - RECENT, shadow=True)
    newest = next(iter(store.inspections.page(wanted, limit=1)), None)
    return None if newest is None else newest.recipe_hash


def _criteria(store: Store, station: str, shadow: str | None = None) -> list[Criterion]:
    """What has to be so before: parts come, the machine does not act on the recipe, people see some of the OK ones."""
    since = datetime.now(UTC) - RECENT
    newest = next(iter(store.inspections.page(Filter(station=station, since=since), limit=1)), None)
    came = ("no part within a day", "no part") if newest is None else ("parts come", "parts come")
    found = [Criterion("the station records", newest is not None, *came)]
    if newest is None:
        return found
    if shadow is None:
        mode = str(newest.details.get("mode", "production"))
        why = f"the newest part was judged in {mode} mode"
        found.append(Criterion("pilot mode", mode == "pilot", why, "mode", {"mode": mode}))
    else:
        why = f"recipe {shadow[:12]} is recorded, and the machine does not hear it"
        found.append(Criterion("in shadow", True, why, "in shadow", {"recipe": shadow[:12]}))
    found.append(_measured(store, shadow or newest.recipe_hash or ""))
    strata = store.review_figures.strata(since - 6 * RECENT, datetime.now(UTC) + RECENT, station)
    ok = next(one for one in strata if one.verdict is Verdict.OK)
    asked = ok.good + ok.defective
    sampled = "set review_ok in the station's file" if not asked else f"{asked} OK parts were looked at in a week"
    code = "looked at" if asked else "review_ok"
    found.append(Criterion("people see a random share of the OK parts", asked > 0, sampled, code, {"count": asked}))
    return found


def _measured(store: Store, recipe: str) -> Criterion:
    name = "the recipe was measured on parts it has not seen"
    if not recipe:
        return Criterion(name, False, "the part names no recipe", "no recipe")
    count, known = len(store.evaluations.of(recipe)), recipe[:12]
    values: dict[str, str | int] = {"count": count, "recipe": known}
    return Criterion(name, count > 0, f"{count} evaluations of recipe {known}", "evaluations", values)
