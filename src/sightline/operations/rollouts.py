"""Rollouts: a recipe brought to stations, the canary first, watched there, and taken back where it does worse."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from sightline.core.errors import InputError
from sightline.improve.rollout import Watched, judge
from sightline.operations.opening import author as whoever
from sightline.operations.opening import opened_store
from sightline.operations.repeating import repeat
from sightline.store.alarms import OPEN
from sightline.store.inspections import Filter
from sightline.store.rollouts import CANARY, DONE, ROLLED_BACK, ROLLING, UNDER_WAY, Assignment, Rollout, Tally
from sightline.store.store import Store, StoreLocation

EVERY_S = 5.0  # between two looks
PARTS = 200
MAX_PARTS = 100_000
BY_ITSELF = "sightline"  # who goes on or takes back where nobody has said so
LOG = logging.getLogger("sightline.rollouts")


def start(
    where: Store | StoreLocation,
    recipe: str,
    stations: Sequence[str],
    parts: int = PARTS,
    author: str = "",
    note: str = "",
) -> Rollout:
    """Bring a recipe, named by its hash or how that begins, to stations; the first is the canary.

    Each has to inspect `parts` parts with it. A worker watches it. Raises InputError for a recipe that is not promoted,
    for a station that the store does not know, and ConflictError where another rollout of the product is under way.
    """
    if not 1 <= parts <= MAX_PARTS:
        raise InputError(f"{parts} parts: give 1 to {MAX_PARTS}")
    with opened_store(where) as store:
        found = store.recipes.find(recipe)
        if found.state != "promoted":
            raise InputError(f"recipe {found.name} is {found.state}. Only a person promotes it; then roll it out")
        for name in stations:
            if not store.inspections.page(Filter(station=name), limit=1):
                raise InputError(
                    f"station {name} has recorded nothing in this store. Write its name as in its own file"
                )
        return store.rollouts.begin(found.product, found.hash, stations, parts, author or whoever(), note)


def list_rollouts(where: Store | StoreLocation, limit: int = 50) -> tuple[tuple[Rollout, tuple[Assignment, ...]], ...]:
    """Rollouts, the newest first, each with what its stations are to run and run."""
    with opened_store(where) as store:
        assigned = store.rollouts.assignments()
        return tuple(
            (one, tuple(row for row in assigned if row.product == one.product and row.station in one.stations))
            for one in store.rollouts.page(limit=limit)
        )


def back(where: Store | StoreLocation, id: int, reason: str, author: str = "") -> Rollout:
    """Take a rollout back: its stations run again what they ran before. Raises InputError, ConflictError."""
    if not reason.strip():
        raise InputError("say why it is taken back; it goes into the audit")
    with opened_store(where) as store:
        return store.rollouts.move(id, ROLLED_BACK, reason, author or whoever())


def follow(store: Store, stopping: threading.Event) -> None:
    """Watch rollouts until `stopping` is set. A store that cannot be used is waited for."""
    repeat(advance, store, EVERY_S, stopping, LOG, "rollouts are not watched")


def advance(store: Store) -> tuple[Rollout, ...]:
    """Look at each rollout that is under way; those that went on, ended, or were taken back."""
    moved = []
    for rollout in store.rollouts.page(UNDER_WAY):
        stations = rollout.stations[:1] if rollout.state == CANARY else rollout.stations
        assigned = {one.station: one for one in store.rollouts.assignments(rollout.product)}
        said = [judge(watch(store, rollout, assigned[name]), rollout.parts) for name in stations]
        against = "; ".join(why for answer, why in said if answer == "roll back")
        if against:
            state, why = ROLLED_BACK, against
        elif all(answer == "go on" for answer, _ in said):
            last = rollout.state == ROLLING or len(rollout.stations) == 1
            state, why = DONE if last else ROLLING, "; ".join(why for _, why in said)
        else:
            continue
        moved.append(store.rollouts.move(rollout.id, state, why, BY_ITSELF))
        LOG.log(logging.WARNING if against else logging.INFO, "rollout %d: %s: %s", rollout.id, state, why)
    return tuple(moved)


def watch(store: Store, rollout: Rollout, assigned: Assignment) -> Watched:
    """What is known of a rollout at one station."""
    name, hash = assigned.station, rollout.recipe_hash
    alarms = tuple(one.cause for one in store.alarms.page(OPEN, name) if one.recipe_hash == hash)
    after, before = Tally(0, 0, 0), Tally(0, 0, 0)
    if assigned.running_hash == hash:
        after = store.rollouts.tally(name, hash, after=assigned.since)
        if assigned.ran_hash is not None:
            before = store.rollouts.tally(name, assigned.ran_hash, until=assigned.since)
    return Watched(name, assigned.runs, assigned.fault, alarms, after, before)
